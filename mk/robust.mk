# SPDX-License-Identifier: Apache-2.0
# What shows that the broker stays up: every call fails once (tests/faults), and a fuzzer of whole connections (tests/fuzz).
# Continuous integration (.ci/run) runs both, the fuzzer for a minute.

wrap = $(1:%=-Wl$(comma)--wrap=%)

# --- every call fails once. FAULTS='--every 10' for a sample, FAULTS='--setting lean --call recv' for a part.
FAULTS ?=
fault_calls := $(shell sed -nE 's/^    X.([A-Za-z0-9_]+), .*/\1/p' tests/faults/fault.h)

# The programs as functions of one program: broker_main and loadgen_main.
fault_mains := $(patsubst %,$(B)/tests/faults/%_main.o,broker loadgen)
$(B)/tests/faults/%_main.o: %/main.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,$< (for faults))
	$(Q)$(CC) $(c_flags) $(san_flags) -Dmain=$*_main -MMD -MP -c $< -o $@

$(B)/faults: $(patsubst %.c,$(B)/%.o,$(wildcard tests/faults/*.c)) $(fault_mains) $(archives) $(B)/libhdr.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ld_flags) $(san_flags) $(call wrap,$(fault_calls)) -o $@ $(filter %.o,$^) $(link_all) -lpaho-mqtt3a \
	    -lmicrohttpd $(ld_libs)

.PHONY: faults
faults: $(B)/faults
	@$< $(FAULTS)

# --- whole connections, without sockets and with a clock that only inputs move (tests/fuzz/fake_net.h)
net_calls := $(shell sed -nE 's/^WRAPPED.[a-z0-9_]+, ([a-z0-9_]+),.*/\1/p' tests/fuzz/fake_net.c)
connection_objects := $(addprefix $(B)/tests/,fuzz/fuzz_connection.o fuzz/fake_net.o failing_heap.o)
connection_archives := $(addprefix $(B)/,libbroker.a libpools.a libwire.a libbase.a)
connection_link = $(call wrap,$(net_calls) malloc calloc realloc) $(connection_objects) -Wl,--start-group \
    $(connection_archives) -Wl,--end-group $(ld_libs)

# A fuzzer looks for new lines in the broker, not in its own network.
$(connection_objects): private c_flags := $(filter-out -fsanitize=fuzzer-no-link,$(c_flags))

# The committed inputs, in every build.
$(B)/tests/test_fuzz_connection: $(B)/tests/test_fuzz_connection.o $(B)/tests/fuzz_corpus.o $(connection_objects) $(connection_archives)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ld_flags) $(san_flags) -o $@ $< $(B)/tests/fuzz_corpus.o $(connection_link) -lcmocka

$(B)/fuzz_connection: $(connection_objects) $(connection_archives)
	$(call say,FUZZER,$@)
	$(Q)$(CC) -fsanitize=fuzzer $(ld_flags) $(san_flags) -o $@ $(connection_link)

# clang's own build, of which every object counts coverage, for both fuzzers. What NAME finds new stays in build/fuzz/found-NAME, an
# input that breaks something in build/fuzz/NAME-*.
fuzz_b := build/fuzz
fuzz_variables := --no-print-directory B=$(fuzz_b) CC=clang SAN=address-undefined CHECK=1 \
    CFLAGS='-O1 -g1 -Wno-error -fsanitize=fuzzer-no-link'
.PHONY: fuzzers fuzz-connection fuzz-coverage
# Before two of them run side by side: two makes must not build one folder.
fuzzers: test-deps
	@$(MAKE) $(fuzz_variables) $(fuzz_b)/fuzz_connection $(fuzz_b)/fuzz_options
fuzz-connection: test-deps
	@$(MAKE) $(fuzz_variables) $(fuzz_b)/fuzz_connection
	@mkdir -p $(fuzz_b)/found-connection
	@$(fuzz_b)/fuzz_connection -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=20 -print_final_stats=1 \
	    -artifact_prefix=$(fuzz_b)/connection- $(fuzz_b)/found-connection tests/fuzz/corpus/connection

# --- command lines, and the codec (wire/fuzz_mqtt.c, `make fuzz`): their committed inputs in every build
options_objects := $(B)/tests/fuzz/fuzz_options.o
options_archives := $(addprefix $(B)/lib,broker.a loadgen.a pools.a wire.a base.a hdr.a)
options_link = $(options_objects) -Wl,--start-group $(options_archives) -Wl,--end-group -lpaho-mqtt3a -lmicrohttpd $(ld_libs)
$(options_objects) $(B)/wire/fuzz_mqtt.o: private c_flags := $(filter-out -fsanitize=fuzzer-no-link,$(c_flags))

$(B)/tests/test_fuzz_options: $(B)/tests/test_fuzz_options.o $(B)/tests/fuzz_corpus.o $(options_objects) $(options_archives)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ld_flags) $(san_flags) -o $@ $< $(B)/tests/fuzz_corpus.o $(options_link) -lcmocka

$(B)/tests/test_fuzz_mqtt: $(B)/tests/test_fuzz_mqtt.o $(B)/tests/fuzz_corpus.o $(B)/wire/fuzz_mqtt.o $(B)/libwire.a $(B)/libbase.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ld_flags) $(san_flags) -o $@ $^ -lcmocka $(ld_libs)

$(B)/fuzz_options: $(options_objects) $(options_archives)
	$(call say,FUZZER,$@)
	$(Q)$(CC) -fsanitize=fuzzer $(ld_flags) $(san_flags) -o $@ $(options_link)

# Words may name files: it runs in a folder of its own.
.PHONY: fuzz-options
fuzz-options: test-deps
	@$(MAKE) $(fuzz_variables) $(fuzz_b)/fuzz_options
	@mkdir -p $(fuzz_b)/found-options $(fuzz_b)/here
	@cd $(fuzz_b)/here && ../fuzz_options -max_total_time=$(FUZZ_SECONDS) -max_len=2048 -timeout=20 -print_final_stats=1 \
	    -artifact_prefix=../options- ../found-options $(CURDIR)/tests/fuzz/corpus/options

# Which lines the inputs reach: those that are committed, and those that a fuzzer has found here.
fuzz-coverage:
	@rm -rf build/fuzz-coverage
	@$(MAKE) --no-print-directory B=build/fuzz-coverage CFLAGS='$(coverage_flags)' LDFLAGS=--coverage \
	    build/fuzz-coverage/tests/test_fuzz_connection
	@build/fuzz-coverage/tests/test_fuzz_connection tests/fuzz/corpus/connection $(wildcard $(fuzz_b)/found-connection) \
	    > build/fuzz-coverage/log
	@scripts/coverage build/fuzz-coverage | grep -E '^(module|broker/(mqtt|net) |wire )'
