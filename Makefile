# SPDX-License-Identifier: Apache-2.0
# Poolmark: build, test, bench, suite. `make help` lists the targets and the variables.
#
# Everything is built out of tree: build/ for the plain build, build/SAN-CHECK/ for the others, so that a sanitizer
# build never overwrites the one that is measured.

# The C++ compiler follows the C compiler unless it is named, since both must use one sanitizer runtime.
ifeq ($(origin CXX),default)
CXX := $(if $(findstring clang,$(CC)),clang++,g++)
endif
SAN       ?=
CHECK     ?=
# A deliberate handicap, to show that a comparison finds it (scripts/poolmark sensitivity). GET: percent of a get's own
# work added to each get (0: the code for it without work). BYTES: percent of bytes added to each object.
HANDICAP_GET   ?=
HANDICAP_BYTES ?= 0
# In the broker (broker/mqtt/handicap.h). CONNECT: microseconds added to one CONNECT in 50. LOSS: one message in so many
# is lost.
HANDICAP_CONNECT ?= 0
HANDICAP_LOSS  ?= 0

include mk/quiet.mk

comma   := ,
VERSION := $(shell cat VERSION)
variant := $(strip $(SAN)$(if $(CHECK),$(if $(SAN),-)check))
B       ?= build$(if $(variant),/$(variant))

HDR := third_party/node_modules/native-hdr-histogram/HdrHistogram_c/src

warnings := -Wall -Wextra -Wconversion -Wshadow -Werror
sanitize_address   := -fsanitize=address -fno-omit-frame-pointer
sanitize_thread    := -fsanitize=thread
sanitize_undefined := -fsanitize=undefined -fno-sanitize-recover=all
sanitize_address-undefined := $(sanitize_address) $(sanitize_undefined)
ifneq ($(filter-out address thread undefined address-undefined,$(SAN)),)
$(error SAN is "$(SAN)"; it may be address, thread, undefined or address-undefined)
endif
san_flags := $(sanitize_$(SAN))
# The code that gcc inserts for this sanitizer triggers gcc's own warning. The other builds check conversions.
ifneq ($(findstring undefined,$(SAN)),)
warnings := $(filter-out -Wconversion,$(warnings))
endif

# Functions begin at a cache line. Otherwise the place of a function depends on every function before it, which is worth
# up to a third of a get. A change elsewhere would look like a change of the pool.
optimise := -O2 -g -falign-functions=64
CFLAGS   ?= $(optimise)
CXXFLAGS ?= $(optimise)
defines  := -D_GNU_SOURCE $(if $(CHECK),-DPOOLMARK_CHECK=1) \
            $(if $(HANDICAP_GET),-DPOOLMARK_HANDICAP_GET=$(HANDICAP_GET)) \
            $(foreach h,BYTES CONNECT LOSS,$(if $(filter-out 0,$(HANDICAP_$h)),-DPOOLMARK_HANDICAP_$h=$(HANDICAP_$h)))
includes := -I. -isystem $(HDR)
c_flags  := -std=c11 $(warnings) $(defines) $(includes) $(CFLAGS) -pthread
cc_flags := -std=c++17 -Wall -Wextra -Werror $(defines) $(includes) $(CXXFLAGS) -pthread
ld_flags := $(LDFLAGS) -pthread
ld_libs  := -ljansson -lmd -lz -lm -ldl

tree   := $(shell scripts/tree-commit 2>/dev/null)
commit := $(or $(word 1,$(tree)),unknown)
dirty  := $(or $(word 2,$(tree)),-1)

modules := base wire pools broker loadgen bench
objects_of = $(patsubst %.c,$(B)/%.o,$(filter-out $(1)/main.c $(1)/%/main.c $(wildcard $(1)/fuzz_*.c $(1)/preload_*.c),$(wildcard $(1)/*.c $(1)/*/*.c)))
hdr_objects := $(patsubst %,$(B)/hdr/%.o,hdr_histogram hdr_histogram_log hdr_encoding hdr_time hdr_thread \
                 hdr_interval_recorder hdr_writer_reader_phaser)
archives := $(foreach m,$(modules),$(B)/lib$(m).a)
link_all  = -Wl,--start-group $(archives) $(B)/libhdr.a -Wl,--end-group

programs := $(B)/poolmark-broker $(B)/poolmark-loadgen $(B)/poolmark-bench $(B)/poolmark-hot
# Not installed: the suite `speed` starts it beside the generator.
helpers  := $(B)/bare-client
tests    := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/test_*.c))
fuzzers  := $(patsubst wire/%.c,$(B)/%,$(wildcard wire/fuzz_*.c))

.PHONY: model all programs help deps test-deps test tests suite bench million claims soak format format-check fuzz clean FORCE
.SECONDARY:

all: deps
	@$(MAKE) --no-print-directory programs

# Without scripts/deps: for packagers, who have installed the packages already.
programs: $(programs) $(helpers)

help:
	@echo 'make               install what is missing, build build/poolmark-broker, -loadgen, -bench, -hot'
	@echo 'make suite         install what is missing, build, run the quick suite, print its table'
	@echo 'make test          install what is missing, build, run every test'
	@echo 'make deps          install what is missing for building and running; make test-deps: also for the tests'
	@echo 'make programs      build with what is installed'
	@echo 'make tests         build the unit tests, into build/tests/; scripts/run-tests build --unit runs them'
	@echo 'make bench         micro-benchmarks: every strategy, and four allocators called directly (at most ten minutes)'
	@echo 'make million       one million connections: memory curve, proof of life, forecast'
	@echo 'make claims        published figures about pools, measured again, each with a verdict (half an hour)'
	@echo 'make soak          one broker for SOAK (30m), clients that are killed among its load: does anything grow, or stay?'
	@echo 'make fuzz          fuzz the MQTT codec for FUZZ_SECONDS (60)'
	@echo 'make fuzz-connection  fuzz whole connections; make fuzz-coverage: which lines its inputs reach'
	@echo 'make fuzz-options  fuzz the command lines of broker and generator'
	@echo 'make faults        every allocation and system call of the broker fails once; FAULTS="--every 10": a sample'
	@echo 'make count         mosquitto_sub counts MESSAGES (1000000) of the generator at each QoS'
	@echo 'make fuzz-records  read RECORDS (10000) records changed at random, each by one of the readers'
	@echo 'make fuzz-suites   read SUITES (10000) files of suites and mixes changed at random'
	@echo 'make fuzz-pools    calls, threads, modes and failures of every pool, at random, for FUZZ_SECONDS (60)'
	@echo 'make kills         kill -9 of the broker at KILLS (10000) writes of its state file: nothing acknowledged is lost'
	@echo 'make model         every interleaving of models of slab at its bound and of the hot pool'
	@echo 'make format        format every source; make format-check: is every source formatted?'
	@echo 'make analyse       cppcheck and shellcheck; make types: mypy and pyflakes'
	@echo 'make coverage      line coverage of the unit tests by module'
	@echo 'make install       into PREFIX (/usr/local), below DESTDIR when it is set; make uninstall takes it away'
	@echo 'make pages         manual pages and completions, into build/pages/'
	@echo 'make deb           Debian packages, into build/deb/'
	@echo 'make slurm         four ranks under sbatch, by slurmctld and slurmd on hosts of network namespaces (root); names the packages'
	@echo 'make mpi           build/poolmark-loadgen-mpi, the generator over several hosts; names the packages that it needs'
	@echo 'make library       the pools as a library: build/libpoolmark.so.*, build/libpoolmark.a, build/include/poolmark/'
	@echo 'make install-library  only the library, into PREFIX'
	@echo 'make check-pool    does a pool keep the contract? POOL=./mine.so (docs/tutorial-your-pool.md)'
	@echo 'make clean         remove build/'
	@echo 'Variables: SAN=address|thread|undefined|address-undefined, CHECK=1 (double free and foreign pointers are caught), CC, CFLAGS, V=1 (whole commands)'

# Installs all dependencies; does nothing when all of them are there.
deps:
	@scripts/deps

test-deps:
	@scripts/deps --test

suite: all
	@scripts/poolmark suite quick

million: all
	@scripts/poolmark suite million

bench: all
	@scripts/poolmark bench

# On hosts of network namespaces, by Slurm's own daemons, which end with it. Installs nothing; says what it needs.
SLURM_RANKS ?= 4
.PHONY: slurm
slurm: programs mpi
	@scripts/poolmark cluster --namespaces $(SLURM_RANKS) --launcher slurm --run publish --engine raw --connections 4k --pairs 200 --qos 1 --publish-rate 1k --duration 5s

claims: all
	@scripts/poolmark claims

# SOAK=2m shortens it.
SOAK ?= 30m
soak: all
	@scripts/poolmark soak --for $(SOAK)

test: test-deps
	@$(MAKE) --no-print-directory programs test-programs
	@scripts/run-tests $(B)

# After programs, where both are asked for: two makes must not build one folder.
tests: test-deps $(filter all programs,$(MAKECMDGOALS))
	@$(MAKE) --no-print-directory test-programs

# Without scripts/deps --test, as `programs` is. unit-tests: those that scripts/run-tests --unit runs.
.PHONY: test-programs unit-tests
test-programs: $(tests)
unit-tests: $(filter-out $(B)/tests/test_e2e_%,$(tests))

# Facts about the build, for records; rewritten only when they change. Several makes may do it at once.
$(B)/base/build_facts.h: FORCE
	@mkdir -p $(@D)
	@new=$@.$$$$; { echo '#define BUILD_VERSION "$(VERSION)"'; \
	   echo '#define BUILD_COMMIT "$(commit)"'; \
	   echo '#define BUILD_DIRTY $(dirty)'; \
	   echo '#define BUILD_COMPILER "'"$$($(CC) --version | head -n 1)"'"'; \
	   echo '#define BUILD_FLAGS "$(strip $(filter-out -ffile-prefix-map=%,$(CFLAGS)) $(san_flags) $(defines))"'; } > $$new; \
	 if cmp -s $$new $@; then rm $$new; else mv $$new $@; fi

# private: build.o also needs $(B)/flags, whose rule must not see this flag.
$(B)/base/build.o: private c_flags += -I$(B)/base
$(B)/base/build.o: $(B)/base/build_facts.h

# Compilers and flags, in a file of their own. When they change, everything is compiled again, so that the flags in a
# record are those of every object.
compilers = $(CC) $(c_flags) $(san_flags) / $(CXX) $(cc_flags)
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(compilers)' | cmp -s - $@ || echo '$(compilers)' > $@

$(B)/%.o: %.c $(B)/flags | $(HDR)/hdr_histogram.h
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(c_flags) $(san_flags) -MMD -MP -c $< -o $@

$(B)/%.o: %.cc $(B)/flags | $(HDR)/hdr_histogram.h
	@mkdir -p $(@D)
	$(call say,CXX,$<)
	$(Q)$(CXX) $(cc_flags) $(san_flags) -MMD -MP -c $< -o $@

# A library that poolmark-bench contains (bench/allocations.h), and preloads in a process of its own: without a sanitizer.
$(B)/bench/preload_count.so: bench/preload_count.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(c_flags) -fPIC -shared -o $@ $< -ldl
$(B)/bench/allocations.o: private c_flags += -DPOOLMARK_PRELOAD_COUNT='"$(B)/bench/preload_count.so"'
$(B)/bench/allocations.o: $(B)/bench/preload_count.so

# Third-party code: without our warnings, and without the undefined-behaviour sanitizer.
$(B)/hdr/%.o: $(HDR)/%.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=gnu11 -w -D_GNU_SOURCE $(CFLAGS) $(filter-out $(sanitize_undefined),$(san_flags)) -pthread -c $< -o $@

# Everything that is compiled waits for this: one line tells what is missing, before any compiler does.
$(HDR)/hdr_histogram.h:
	@[ -e $@ ] || { echo 'What the programs are built with is not installed ($@ is not there): run "make deps"' >&2; false; }

$(HDR)/%.c: | $(HDR)/hdr_histogram.h
	@[ -e $@ ] || { echo '$@ is not there; "make deps" installs it' >&2; false; }

$(B)/libhdr.a: $(hdr_objects)
	@rm -f $@
	$(Q)ar rcs $@ $^

define archive_rule
$(B)/lib$(1).a: $(call objects_of,$(1)) $(if $(filter bench,$(1)),$(patsubst %.cc,$(B)/%.o,$(wildcard bench/*.cc)))
	@rm -f $$@
	@mkdir -p $$(@D)
	$$(Q)ar rcs $$@ $$^
endef
$(foreach m,$(modules),$(eval $(call archive_rule,$(m))))

$(B)/poolmark-broker: $(B)/broker/main.o $(archives) $(B)/libhdr.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ld_flags) $(san_flags) -o $@ $< $(link_all) -lmicrohttpd $(ld_libs)

$(B)/poolmark-loadgen: $(B)/loadgen/main.o $(archives) $(B)/libhdr.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ld_flags) $(san_flags) -o $@ $< $(link_all) -lpaho-mqtt3a -lmicrohttpd $(ld_libs)

$(B)/poolmark-bench: $(B)/bench/main.o $(archives) $(B)/libhdr.a
	$(call say,LINK,$@)
	$(Q)$(CXX) $(ld_flags) $(san_flags) -o $@ $< $(link_all) -lbenchmark $(ld_libs)

$(B)/poolmark-hot: $(B)/bench/hot/main.o $(archives) $(B)/libhdr.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ld_flags) $(san_flags) -o $@ $< $(link_all) $(ld_libs)

$(B)/bare-client: $(B)/bench/bare/main.o $(archives) $(B)/libhdr.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ld_flags) $(san_flags) -o $@ $< $(link_all) $(ld_libs)

# tests/sanitizer.c is asked for by name: nothing refers to it.
paho := -lpaho-mqtt3a
# Only tests are linked by gold, where it is there: in half of the time. What is measured keeps the system's linker.
test_flags := $(if $(shell command -v ld.gold 2>/dev/null),-fuse-ld=gold) $(if $(findstring address,$(SAN)),-Wl$(comma)-u$(comma)__lsan_default_suppressions)

$(B)/tests/test_%: $(B)/tests/test_%.o $(B)/libtests.a $(archives) $(B)/libhdr.a
	$(call say,LINK,$@)
	$(Q)$(CXX) $(ld_flags) $(san_flags) $(test_flags) -o $@ $< $(B)/libtests.a $(link_all) -lcmocka $(paho) -lmicrohttpd \
	    -lbenchmark -lsqlite3 $(ld_libs)

# The synchronous flavour of paho has a library of its own with the same functions below.
$(B)/tests/test_e2e_paho_sync: private paho := -lpaho-mqtt3c

# As a program outside this tree links it.
$(B)/tests/test_library: $(B)/tests/test_library.o $(B)/libpoolmark.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ld_flags) $(san_flags) -o $@ $^ -lcmocka -lm

# These make malloc fail (tests/failing_heap.h).
failing_heap := test_topics_nomem test_state_nomem
$(failing_heap:%=$(B)/tests/%): private test_flags += $(foreach f,malloc calloc realloc,-Wl$(comma)--wrap=$(f))

# This one stands in for pthread_create(3).
$(B)/tests/test_pool_growth: private test_flags += -Wl,--wrap=pthread_create

# These have a clock of their own.
fake_clock := test_pressure_source test_growth_load
$(fake_clock:%=$(B)/tests/%): private test_flags += -Wl,--wrap=clock_now_ns

# This one stands in for membarrier(2) and pthread_create(3).
$(B)/tests/test_slab_barrier: private test_flags += -Wl,--wrap=syscall -Wl,--wrap=pthread_create
$(B)/tests/test_pool_close: private test_flags += -Wl,--wrap=slab_row_strike -Wl,--wrap=thread_slot_watch_remove -Wl,--wrap=pool_check_close
$(B)/tests/test_pool_pressure: private test_flags += -Wl,--wrap=pressure_group_close
$(B)/tests/test_slab_bound: private test_flags += -Wl,--wrap=slab_depot_pop
$(B)/tests/test_stock_portions: private test_flags += -Wl,--wrap=stock_pause_locked
$(B)/tests/test_slab_fork: private test_flags += -Wl,--wrap=slab_store_give
$(B)/tests/test_slab_huge: private test_flags += -Wl,--wrap=madvise

# Helpers that tests share: everything in tests/ that is not itself a test.
$(B)/libtests.a: $(patsubst %.c,$(B)/%.o,$(filter-out $(wildcard tests/test_*.c),$(wildcard tests/*.c))) $(patsubst %.cc,$(B)/%.o,$(wildcard tests/*.cc))
	@rm -f $@
	@mkdir -p $(@D)
	$(Q)ar rcs $@ $^

FUZZ_SECONDS ?= 60
# Calls, threads, modes and failures of every strategy, at random, for FUZZ_SECONDS.
$(B)/fuzz_pools: $(B)/tests/fuzz/fuzz_pools.o $(B)/tests/fuzz/pool_calls.o $(B)/libpools.a $(B)/libbase.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ld_flags) $(san_flags) -Wl,--wrap=syscall -o $@ $^ $(ld_libs)
.PHONY: fuzz-pools
fuzz-pools: $(B)/fuzz_pools
	@$< --seconds $(FUZZ_SECONDS)

# Explores every interleaving of two small models: slab's protocol, and the hot pool's waiters. Known mistakes must be found.
# MODEL=--quick for the smaller sizes.
MODEL ?=
models := slab_rows hot_waiters
$(B)/model/slab_rows: $(patsubst %.c,$(B)/%.o,$(wildcard tests/model/slab_*.c)) $(B)/tests/model/explore.o
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ld_flags) $(san_flags) -o $@ $^
# The functions under test are the pool's own; they get memory that can be copied as a whole.
$(B)/model/hot_waiters: $(patsubst %.c,$(B)/%.o,$(wildcard tests/model/hot_*.c)) $(addprefix $(B)/,tests/model/explore.o \
                          $(patsubst %,pools/hot/%.o,hosts lists demand serve age))
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ld_flags) $(san_flags) -Wl,--wrap=calloc -Wl,--wrap=free -o $@ $^ -lm
model: $(models:%=$(B)/model/%)
	@for m in $(models); do $(B)/model/$$m $(MODEL) || exit 1; done

$(B)/fuzz_%: wire/fuzz_%.c $(wildcard wire/*.c wire/*.h)
	@mkdir -p $(@D)
	$(call say,FUZZER,$@)
	$(Q)clang -std=c11 $(warnings) $(defines) $(includes) -g -O1 -fsanitize=fuzzer,address,undefined -o $@ $< \
	    $(filter-out $(wildcard wire/fuzz_*.c),$(wildcard wire/*.c))
# Tries RECORDS changed records: no record and no raw file may end a reader in a traceback, or print what is not safe to show.
RECORDS ?= 10000
.PHONY: fuzz-records
fuzz-records: test-deps
	@POOLMARK_FUZZ_COUNT=$(RECORDS) /usr/bin/python3 -m pytest -q -s -p no:cacheprovider tests/py/test_hostile.py
# Tries SUITES changed files of suites and mixes: each fault is told with its line.
SUITES ?= 10000
.PHONY: fuzz-suites
fuzz-suites: test-deps programs
	@POOLMARK_FUZZ_COUNT=$(SUITES) /usr/bin/python3 -m pytest -q -s -p no:cacheprovider tests/py/test_hostile_files.py
# An independent count: mosquitto_sub gets what the generator says it sent.
MESSAGES ?= 1000000
.PHONY: count
count: test-deps programs
	@POOLMARK_COUNT=$(MESSAGES) /usr/bin/python3 -m pytest -q -s -p no:cacheprovider tests/honesty/test_counted_outside.py
# Kills the broker KILLS times, each at a write of its state file: nothing acknowledged may be lost.
KILLS ?= 10000
.PHONY: kills
kills: test-deps programs $(B)/tests/plugins/kill-at.so
	@POOLMARK_KILLS=$(KILLS) /usr/bin/python3 -m pytest -q -s -p no:cacheprovider tests/py/test_state_crash.py
# What it finds new stays in build/found-NAME; tests/fuzz/corpus/NAME has the first inputs.
fuzz: test-deps $(fuzzers)
	@for f in $(fuzzers:$(B)/fuzz_%=%); do mkdir -p $(B)/found-$$f; \
	    $(B)/fuzz_$$f -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -print_final_stats=1 $(B)/found-$$f tests/fuzz/corpus/$$f || exit 1; done

sources := $(foreach d,$(modules) examples tests,$(wildcard $(d)/*.c $(d)/*.h $(d)/*.cc $(d)/*/*.c $(d)/*/*.h))
format-check: test-deps
	@clang-format --dry-run -Werror $(sources)
format:
	@clang-format -i $(sources)

clean:
	rm -rf build

include mk/library.mk
include mk/plugins.mk
include mk/robust.mk
include mk/mpi.mk

-include $(wildcard $(B)/*/*.d $(B)/*/*/*.d)
include mk/install.mk
include mk/analyse.mk
