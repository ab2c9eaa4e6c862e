# SPDX-License-Identifier: Apache-2.0
# make install, make uninstall. PREFIX (/usr/local) is the folder of the installed files. For packagers, DESTDIR is put
# before it during the copy. Of the installed files only poolmark.pc contains PREFIX, so the tree may be moved.
#
#     bin/poolmark             a link to share/poolmark/poolmark, which finds its package and its data beside itself
#     bin/poolmark-*           the programs
#     share/poolmark/          python/poolmark, suites/, mixes/, monitoring/, node_modules/ (charts of a report), run.schema.json, metrics.json, claims.toml
#     lib/, include/poolmark/  the pools as a library
#     share/man/man1, share/bash-completion/completions, share/zsh/site-functions

PREFIX     ?= /usr/local
bindir     ?= $(PREFIX)/bin
libdir     ?= $(PREFIX)/lib
includedir ?= $(PREFIX)/include
datadir    ?= $(PREFIX)/share
mandir     ?= $(datadir)/man
bashdir    ?= $(datadir)/bash-completion/completions
zshdir     ?= $(datadir)/zsh/site-functions
INSTALL    ?= install

commands   := poolmark $(notdir $(programs))
link_names := libpoolmark.so.$(ABI) libpoolmark.so
product     = $(abspath $(DESTDIR)$(datadir)/poolmark)

# Make splits words at blanks: rm -rf would get the parts of a name.
ifneq ($(words $(DESTDIR)$(PREFIX) $(datadir) $(includedir)),3)
install uninstall install-data: $(error PREFIX and DESTDIR may not have blanks in them: "$(DESTDIR)$(PREFIX)")
endif

# Manual pages and completions, from the programs' descriptions of themselves.
pages := $(B)/pages
page_sources := $(wildcard packaging/generate/*.py packaging/man/*.man scripts/suites/*.toml) CHANGELOG.md VERSION \
    $(shell find scripts/python -name '*.py')
$(pages)/made: $(programs) $(mpi_program) $(page_sources)
	$(call say,PAGES,$(pages))
	@rm -rf $(pages)
	$(Q)/usr/bin/python3 packaging/generate $(B) $(pages)
	@touch $@

# The chart libraries of a report, with their licences.
chart_files := $(foreach m,vega vega-lite vega-embed,$(m)/build/$(m).min.js $(m)/LICENSE $(m)/package.json)

# The installed files outside Poolmark's own folders.
installed_commands = $(commands) poolmark-loadgen-mpi
installed_files = $(installed_commands:%=$(bindir)/%) \
    $(addprefix $(libdir)/,$(notdir $(libraries)) $(link_names) pkgconfig/poolmark.pc) \
    $(installed_commands:%=$(mandir)/man1/%.1) $(installed_commands:%=$(bashdir)/%) $(installed_commands:%=$(zshdir)/_%)
installed_folders = $(datadir)/poolmark $(includedir)/poolmark

.PHONY: pages install install-library install-programs install-data install-pages uninstall
pages: $(pages)/made

install: install-programs install-data install-pages install-library

install-library: library
	$(call say,INSTALL,$(DESTDIR)$(libdir)/libpoolmark.*)
	@$(INSTALL) -d $(DESTDIR)$(libdir)/pkgconfig $(DESTDIR)$(includedir)/poolmark
	$(Q)$(INSTALL) -m 644 $(libraries) $(DESTDIR)$(libdir)
	$(Q)for name in $(link_names); do ln -sf $(notdir $(library)) $(DESTDIR)$(libdir)/$$name; done
	$(Q)$(INSTALL) -m 644 $(installed_headers) $(DESTDIR)$(includedir)/poolmark
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|; s|@libdir@|$(libdir)|; s|@includedir@|$(includedir)|; s|@VERSION@|$(VERSION)|' \
	    packaging/poolmark.pc.in > $(B)/poolmark.pc
	$(Q)$(INSTALL) -m 644 $(B)/poolmark.pc $(DESTDIR)$(libdir)/pkgconfig
	@if [ -z '$(DESTDIR)' ] && [ "$$(id -u)" = 0 ]; then ldconfig; fi

install-programs: programs
	$(call say,INSTALL,$(DESTDIR)$(bindir)/poolmark*)
	@$(INSTALL) -d $(DESTDIR)$(bindir)
	$(Q)$(INSTALL) -m 755 $(programs) $(mpi_program) $(DESTDIR)$(bindir)
	$(Q)ln -sf $$(realpath -m --relative-to $(bindir) $(datadir)/poolmark)/poolmark $(DESTDIR)$(bindir)/poolmark

# An installed tree reads the facts of its build, such as the commit, from build_facts.h. A checkout asks git.
install-data: programs
	$(call say,INSTALL,$(product))
	@rm -rf $(product)
	@$(INSTALL) -d $(product)/suites $(product)/mixes $(product)/monitoring $(product)/node_modules
	$(Q)$(INSTALL) -m 755 scripts/poolmark $(product)
	$(Q)$(INSTALL) -m 644 VERSION results/run.schema.json results/metrics.json results/claims.toml third_party/package-lock.json $(B)/base/build_facts.h $(product)
	$(Q)$(INSTALL) -m 644 scripts/suites/*.toml $(product)/suites
	$(Q)$(INSTALL) -m 644 scripts/mixes/*.toml $(product)/mixes
	$(Q)$(INSTALL) -m 644 scripts/monitoring/* $(product)/monitoring
	$(Q)cd scripts/python && find poolmark -type f ! -name '*.pyc' -exec $(INSTALL) -D -m 644 {} $(product)/python/{} \;
	$(Q)cd third_party/node_modules && for f in $(chart_files); do $(INSTALL) -D -m 644 $$f $(product)/node_modules/$$f; done

install-pages: pages
	$(call say,INSTALL,$(DESTDIR)$(mandir)/man1/poolmark*)
	@$(INSTALL) -d $(addprefix $(DESTDIR),$(mandir)/man1 $(bashdir) $(zshdir))
	$(Q)$(INSTALL) -m 644 $(pages)/man/* $(DESTDIR)$(mandir)/man1
	$(Q)$(INSTALL) -m 644 $(pages)/bash/* $(DESTDIR)$(bashdir)
	$(Q)$(INSTALL) -m 644 $(pages)/zsh/* $(DESTDIR)$(zshdir)

uninstall:
	$(call say,REMOVE,$(DESTDIR)$(PREFIX)/*/poolmark*)
	$(Q)rm -f $(addprefix $(DESTDIR),$(installed_files)) $(DESTDIR)$(libdir)/libpoolmark.so.*
	$(Q)rm -rf $(addprefix $(DESTDIR),$(installed_folders))

.PHONY: deb
deb:
	@packaging/build-deb build/deb
