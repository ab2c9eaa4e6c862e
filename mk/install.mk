# SPDX-License-Identifier: Apache-2.0
# make install, make uninstall. PREFIX (/usr/local) is where the installed files will lie; DESTDIR is put before it while
# they are copied, for packagers. Nothing that is installed has PREFIX in it but poolmark.pc, so the tree may be moved.

PREFIX     ?= /usr/local
bindir     ?= $(PREFIX)/bin
libdir     ?= $(PREFIX)/lib
includedir ?= $(PREFIX)/include
datadir    ?= $(PREFIX)/share
mandir     ?= $(datadir)/man
bashdir    ?= $(datadir)/bash-completion/completions
zshdir     ?= $(datadir)/zsh/site-functions
INSTALL    ?= install

commands := poolmark $(notdir $(programs))
link_names := libpoolmark.so.$(ABI) libpoolmark.so
product := $(DESTDIR)$(datadir)/poolmark

# Everything outside the folders that are Poolmark's own.
installed_files = $(addprefix $(bindir)/,$(commands)) \
    $(addprefix $(libdir)/,$(notdir $(libraries)) $(link_names) pkgconfig/poolmark.pc)
installed_folders = $(datadir)/poolmark $(includedir)/poolmark

.PHONY: install install-library uninstall
install-library: library
	@$(INSTALL) -d $(DESTDIR)$(libdir)/pkgconfig $(DESTDIR)$(includedir)/poolmark
	$(call say,INSTALL,$(DESTDIR)$(libdir)/libpoolmark.*)
	$(Q)$(INSTALL) -m 644 $(libraries) $(DESTDIR)$(libdir)
	$(Q)for name in $(link_names); do ln -sf $(notdir $(library)) $(DESTDIR)$(libdir)/$$name; done
	$(call say,INSTALL,$(DESTDIR)$(includedir)/poolmark)
	$(Q)$(INSTALL) -m 644 $(installed_headers) $(DESTDIR)$(includedir)/poolmark
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|; s|@libdir@|$(libdir)|; s|@includedir@|$(includedir)|; s|@VERSION@|$(VERSION)|' \
	    packaging/poolmark.pc.in > $(DESTDIR)$(libdir)/pkgconfig/poolmark.pc
	@chmod 644 $(DESTDIR)$(libdir)/pkgconfig/poolmark.pc

install: programs install-library
	@$(INSTALL) -d $(DESTDIR)$(bindir)
	$(call say,INSTALL,$(DESTDIR)$(bindir))
	$(Q)$(INSTALL) -m 755 $(programs) $(DESTDIR)$(bindir)

uninstall:
	$(call say,REMOVE,$(DESTDIR)$(PREFIX))
	$(Q)rm -f $(addprefix $(DESTDIR),$(installed_files))
	$(Q)rm -rf $(addprefix $(DESTDIR),$(installed_folders))
