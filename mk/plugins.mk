# SPDX-License-Identifier: Apache-2.0
# Pools as shared libraries (pools/pool_plugin.h): the example, and the plug-ins of tests/test_plugin.c. They are built as
# one outside this tree is: against the installed headers alone, without -I. and without a library of ours.

plugin_flags = -std=c11 $(warnings) -D_GNU_SOURCE -I$(B)/include $(CFLAGS) $(san_flags) -fPIC -pthread

$(B)/examples/%.so: examples/%.c $(installed_headers) $(B)/flags
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(plugin_flags) -shared -o $@ $<

# Each has one thing wrong with it; tests/plugins/faulty.c says what.
plugin_faults := symbol later abi short further clash reserved name other summary version flag growth get trim sweep \
    undefined refuses positive
$(B)/tests/plugins/faulty-%.so: tests/plugins/faulty.c $(installed_headers) $(B)/flags
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(plugin_flags) -DFAULT_$* -shared -o $@ $<

$(B)/tests/plugins/thin.so: tests/plugins/faulty.c $(installed_headers) $(B)/flags
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(plugin_flags) -shared -o $@ $<

$(B)/tests/plugins/faulty.o: tests/plugins/faulty.c $(installed_headers) $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(plugin_flags) -c -o $@ $<

# Preloaded in a process of its own: without a sanitizer.
$(B)/tests/plugins/new-heap.so: tests/plugins/new_heap.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(filter-out $(san_flags),$(plugin_flags)) -shared -o $@ $<

$(B)/tests/plugins/kill-at.so: tests/plugins/kill_at.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(filter-out $(san_flags),$(plugin_flags)) -shared -o $@ $< -ldl

$(B)/tests/plugins/leak.so: tests/plugins/leak.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(filter-out $(san_flags),$(plugin_flags)) -shared -o $@ $< -ldl

plugins := $(plugin_faults:%=$(B)/tests/plugins/faulty-%.so) $(addprefix $(B)/tests/plugins/,thin.so faulty.o) \
    $(B)/examples/stack-pool.so
$(B)/tests/test_plugin: | $(plugins)
$(B)/tests/test_heap: | $(B)/tests/plugins/new-heap.so
$(B)/tests/test_e2e_account: | $(B)/tests/plugins/leak.so
# For tests/py/test_state*.py.
$(B)/tests/test_state: | $(B)/tests/plugins/kill-at.so
$(B)/tests/test_plugin.o $(B)/tests/test_heap.o $(B)/tests/test_e2e_account.o: private c_flags += -DPLUGINS='"$(B)/tests/plugins"' -DEXAMPLES='"$(B)/examples"'

# Does a pool keep the contract? POOL=./mine.so
.PHONY: check-pool
check-pool: programs
	@$(if $(POOL),,echo 'make check-pool: name the file, POOL=./mine.so' >&2; exit 2;) $(B)/poolmark-bench --check-pool $(POOL)
