# SPDX-License-Identifier: Apache-2.0
# The pools as a library for other programs: libpoolmark.so and libpoolmark.a. Both export only the symbols in
# packaging/libpoolmark.map. The linker takes from the archives only the objects that these symbols need.

# The first number in the file's name (soname). Raise it when a program built against the last version would break.
ABI := 0

contract_map := packaging/libpoolmark.map
contract := $(shell sed -n 's/^ *\([a-z_]*\);$$/\1/p' $(contract_map))

library := $(B)/libpoolmark.so.$(VERSION)
libraries := $(library) $(B)/libpoolmark.a

# Without pools/use/, which belongs to broker and benchmarks, pools/hot/, which is another pool (of connections), pools/typed/,
# which needs other libraries, and pools/plugin/ and pools/contract/, which are for pools of others. From base/ only the sources
# that pools need.
library_sources := $(filter-out $(foreach f,use hot typed plugin contract,pools/$(f)/%),$(wildcard pools/*.c pools/*/*.c)) \
    base/err.c base/clock.c base/cgroup.c base/text_file.c

# Initial-exec: access to a thread's slot is one load, as in a program, and no call.
pic_flags := -fPIC -fno-semantic-interposition -ftls-model=initial-exec

$(B)/pic/%.o: %.c $(B)/flags mk/library.mk
	@mkdir -p $(@D)
	$(call say,CC,$< (PIC))
	$(Q)$(CC) $(c_flags) $(san_flags) $(pic_flags) -MMD -MP -c $< -o $@

$(B)/pic/contents.a: $(library_sources:%.c=$(B)/pic/%.o)
	@rm -f $@
	$(Q)ar rcs $@ $^

# nodelete: exiting threads have to run the library's destructor. Bsymbolic: calls inside the library are direct.
$(library): $(B)/pic/contents.a $(contract_map) mk/library.mk
	$(call say,LINK,$@)
	$(Q)$(CC) -shared $(ld_flags) $(san_flags) -Wl,-soname,libpoolmark.so.$(ABI) -Wl,--version-script=$(contract_map) \
	    -Wl,-z,nodelete -Wl,-Bsymbolic-functions $(if $(SAN),,-Wl,-z,defs) $(contract:%=-Wl$(comma)-u$(comma)%) -o $@ $< -lm

$(B)/static/contents.a: $(library_sources:%.c=$(B)/%.o)
	@rm -f $@
	@mkdir -p $(@D)
	$(Q)ar rcs $@ $^

# One object, in which every symbol outside the contract is local.
$(B)/libpoolmark.a: $(B)/static/contents.a $(contract_map) mk/library.mk
	$(call say,AR,$@)
	@printf '%s\n' $(contract) > $(B)/static/contract
	$(Q)$(LD) -r $(contract:%=-u %) -o $(B)/static/poolmark.o $<
	$(Q)objcopy --keep-global-symbols=$(B)/static/contract $(B)/static/poolmark.o
	@rm -f $@
	$(Q)ar rcs $@ $(B)/static/poolmark.o

# Headers as they are installed: in one folder, with includes that find each other there.
public_headers := $(addprefix pools/,pool.h pool_inline.h pool_plugin.h pool_registry.h pool_pressure.h) base/err_text.h
installed_headers := $(addprefix $(B)/include/poolmark/,$(notdir $(public_headers)))

define header_rule
$(B)/include/poolmark/$(notdir $(1)): $(1)
	@mkdir -p $$(@D)
	@sed -E 's|^#include "(base\|pools)/([a-z_]+\.h)"|#include <poolmark/\2>|' $$< > $$@
endef
$(foreach h,$(public_headers),$(eval $(call header_rule,$(h))))

.PHONY: library
library: $(libraries) $(installed_headers)

-include $(wildcard $(B)/pic/*/*.d $(B)/pic/*/*/*.d)
