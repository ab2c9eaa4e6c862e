# SPDX-License-Identifier: Apache-2.0
# The generator over several hosts, build/poolmark-loadgen-mpi. It is built where there is an mpicc (Debian: libopenmpi-dev,
# openmpi-bin), and not with a sanitizer, which MPI's libraries are not made for. `make mpi` builds it, or says what is missing.

MPICC ?= $(shell command -v mpicc)
mpi_program := $(if $(MPICC),$(if $(SAN),,$(B)/poolmark-loadgen-mpi))
# mpicc is a compiler with further flags: ours with those.
mpi_compiler = OMPI_CC='$(CC)' MPICH_CC='$(CC)' $(MPICC)

$(B)/loadgen/mpi/main.o: loadgen/mpi/main.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,MPICC,$<)
	$(Q)$(mpi_compiler) $(c_flags) -MMD -MP -c $< -o $@

$(B)/poolmark-loadgen-mpi: $(B)/loadgen/mpi/main.o $(archives) $(B)/libhdr.a
	$(call say,LINK,$@)
	$(Q)$(mpi_compiler) $(ld_flags) -o $@ $< $(link_all) -lpaho-mqtt3a -lmicrohttpd $(ld_libs)

# The clock of one rank, moved: tests preload it in that rank alone.
$(B)/tests/plugins/moved-clock.so: tests/plugins/moved_clock.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(filter-out $(san_flags),$(plugin_flags)) -shared -o $@ $< -ldl

$(B)/tests/test_e2e_ranks: | $(B)/tests/plugins/moved-clock.so

.PHONY: mpi
mpi: $(if $(mpi_program),programs)
	@$(if $(MPICC),,echo 'make mpi: there is no mpicc: sudo apt-get install libopenmpi-dev openmpi-bin' >&2; exit 2;) \
	    $(if $(mpi_program),true,echo 'make mpi: not with SAN: the libraries of MPI are not made for it' >&2; exit 2)
programs: $(mpi_program)
