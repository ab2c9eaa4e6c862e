# SPDX-License-Identifier: Apache-2.0
# The pools as a library that others link: libpoolmark.so and libpoolmark.a. Both have the symbols of
# packaging/libpoolmark.map and no others. The linker takes from the archives only the objects that these symbols need.

# The first number of the file's name (soname): raise it when a program built against the last version would break.
ABI := 0

contract_map := packaging/libpoolmark.map
contract := $(shell sed -n 's/^ *\([a-z_]*\);$$/\1/p' $(contract_map))

library := $(B)/libpoolmark.so.$(VERSION)
libraries := $(library) $(B)/libpoolmark.a

# pools/use/ is what the broker and the benchmarks build on pools, pools/hot/ another pool, of connections; base/: what pools
# need beside headers.
library_sources := $(filter-out pools/use/% pools/hot/%,$(wildcard pools/*.c pools/*/*.c)) base/err.c base/clock.c

# Initial-exec: a thread's slot is one load, as in a program, and no call.
pic_flags := -fPIC -fno-semantic-interposition -ftls-model=initial-exec

$(B)/pic/%.o: %.c $(B)/flags mk/library.mk
	@mkdir -p $(@D)
	$(call say,CC,$< (PIC))
	$(Q)$(CC) $(c_flags) $(san_flags) $(pic_flags) -MMD -MP -c $< -o $@

$(B)/pic/contents.a: $(library_sources:%.c=$(B)/pic/%.o)
	@rm -f $@
	@ar rcs $@ $^

# nodelete: threads have the library's destructor to run when they exit. Bsymbolic: its calls of itself are direct ones.
$(library): $(B)/pic/contents.a $(contract_map) mk/library.mk
	$(call say,LINK,$@)
	$(Q)$(CC) -shared $(ld_flags) $(san_flags) -Wl,-soname,libpoolmark.so.$(ABI) -Wl,--version-script=$(contract_map) \
	    -Wl,-z,nodelete -Wl,-Bsymbolic-functions $(if $(SAN),,-Wl,-z,defs) $(contract:%=-Wl$(comma)-u$(comma)%) -o $@ $< -lm

$(B)/static/contents.a: $(library_sources:%.c=$(B)/%.o)
	@rm -f $@
	@mkdir -p $(@D)
	@ar rcs $@ $^

# One object, in which what is not of the contract is local.
$(B)/libpoolmark.a: $(B)/static/contents.a $(contract_map) mk/library.mk
	$(call say,AR,$@)
	@printf '%s\n' $(contract) > $(B)/static/contract
	$(Q)$(LD) -r $(contract:%=-u %) -o $(B)/static/poolmark.o $<
	$(Q)objcopy --keep-global-symbols=$(B)/static/contract $(B)/static/poolmark.o
	@rm -f $@
	@ar rcs $@ $(B)/static/poolmark.o

# Headers as they are installed: in one folder, and finding each other there.
public_headers := pools/pool.h pools/pool_inline.h base/err_text.h
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
