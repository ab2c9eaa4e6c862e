# SPDX-License-Identifier: Apache-2.0
# What make prints: one short line a file. V=1 prints the whole command, `make -s` nothing.
#
#     $(B)/%.o: %.c
#         $(call say,CC,$<)
#         $(Q)$(CC) ...

ifeq ($(V),1)
Q   :=
say :=
else
Q := @
silent := $(findstring s,$(firstword -$(MAKEFLAGS)))
say = $(if $(silent),,@printf '  %-7s %s\n' '$(1)' '$(2)')
endif
