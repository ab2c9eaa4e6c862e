# SPDX-License-Identifier: Apache-2.0
# Static analysis of the sources, and their coverage by the unit tests. scripts/deps --dev installs the tools. Continuous
# integration (.ci/run) runs all of it if the tools are there.

.PHONY: analyse types coverage
analyse:
	$(call say,CHECK,$(modules) examples)
	$(Q)cppcheck -j2 --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability \
	    --suppressions-list=mk/cppcheck-suppressions -D_GNU_SOURCE -I. \
	    --include=mk/cppcheck.h $(filter-out %.cc,$(wildcard \
	    $(foreach m,$(modules) examples,$(m)/*.c $(m)/*/*.c)))
	$(call say,CHECK,shell scripts)
	$(Q)shellcheck -S warning scripts/deps scripts/run-tests scripts/tree-commit scripts/release packaging/build-deb .ci/run \
	    .github/judge

# Strict types (pyproject.toml, [tool.mypy]), then unused and undefined names.
types:
	$(call say,CHECK,scripts/python)
	$(Q)mypy --no-error-summary
	$(Q)pyflakes3 scripts/python packaging/generate

coverage_flags := -O0 -g1 --coverage -fprofile-update=atomic
coverage: test-deps
	@rm -rf build/coverage
	@$(MAKE) --no-print-directory B=build/coverage CFLAGS='$(coverage_flags)' CXXFLAGS='$(coverage_flags)' LDFLAGS=--coverage unit-tests
	@scripts/run-tests build/coverage --unit > build/coverage/log || { grep -A20 '^FAIL' build/coverage/log; \
	    echo 'coverage: a test failed in this build, which is not optimised; the figures are of what ran'; }
	@scripts/coverage build/coverage
