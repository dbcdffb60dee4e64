# make            list the targets
# make run        build, start everything below run/, stop on Ctrl-C
# make up         the same in the background; repeating it restarts what died
# make down       stop it; the data stay
# make build      module, workers, chatctl under build/
# make test       packages, build and all tests (build-test/)
# make asan       the same tests under AddressSanitizer and UBSan (build-asan/)
# make unit       the C unit tests alone
# make faults     inject one fault at a time under load, count lost messages
# make fuzz       each parser of common/ for FUZZ_SECONDS (20), clang
# make bench      this server and others under load: under 20 minutes
# make bench-quick    this server alone, 2 minutes
# make flame      flame graph of the cost of a message
# make lint       build with clang, warnings are errors; spelling
# make man        manual pages from --help, under build/man/
# make rooms      includes of each directory
# make clean      remove $(B)
#
# B=build-x SAN=1 make build builds elsewhere and with sanitizers. Ports and
# places of run, up, down: see conf/stack.sh.
#
# Sources and include directories are found by pattern: common/*.c,
# workers/*/*.c, ngx_chat_module/*.c, ngx_chat_module/*/*.c,
# tests/unit/<word>_test.c. A new file, or a new folder of workers/, needs no
# line here.

B       ?= build
CC      ?= gcc
SAN     ?=
# 1: adds test-only features, such as chat_websocket_echo
CHAT_TEST ?=
NGX_SRC ?= /usr/share/nginx/src
JOBS    ?= $(shell nproc)
# V=1 prints the commands
Q       := $(if $(V),,@)
# Debian's own, which finds the python3-* packages
PYTHON  ?= /usr/bin/python3

# of programs, module and manual pages; its only place is the file VERSION
VERSION := $(shell cat VERSION)

WARN    := -Wall -Wextra -Werror -Wshadow -Wno-unused-parameter
comma   := ,
OPT     := $(if $(SAN),-O1 -fno-omit-frame-pointer -fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined,-O2)
CFLAGS  := -std=gnu11 -g $(OPT) $(WARN) -fPIC -fvisibility=hidden -D_GNU_SOURCE \
           -I common -I workers $(patsubst %/,-I %,$(wildcard workers/*/)) \
           -I /usr/include/postgresql $(if $(CHAT_TEST),-DCHAT_TEST_BUILD) \
           -DCHAT_VERSION=$(VERSION) $(EXTRA_CFLAGS)
LIBS_WORKER := -lhiredis -lpq -ljansson -lsodium -lmicrohttpd -lcurl -lpthread -lm

COMMON_O  := $(patsubst %.c,$(B)/%.o,$(wildcard common/*.c))
# objects of a worker process; ctl/ has main() of chatctl
WORKER_C  := $(wildcard workers/*.c) $(filter-out $(wildcard workers/ctl/*.c),$(wildcard workers/*/*.c))
WORKER_O  := $(patsubst %.c,$(B)/%.o,$(WORKER_C))
CTL_O     := $(patsubst %.c,$(B)/%.o,$(wildcard workers/ctl/*.c)) \
             $(filter-out $(B)/workers/worker_main.o,$(WORKER_O))
# the contract of chat stores; run by tests/store/test_store_contract.py
CONTRACT  := $(B)/tests/store/store_contract
UNIT      := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/*_test.c))

.PHONY: help build man common workers module unit clean rooms packages \
        run up down status test asan faults check bench bench-quick flame lint programs fuzz FORCE

help:
	@sed -n 's/^# \(make.*\)/\1/p' Makefile

build: common workers module

common: $(B)/libchat_common.a
workers: $(B)/chat-worker $(B)/chatctl

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC    $<")
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

$(B)/libchat_common.a: $(COMMON_O)
	$(if $(V),,@echo "  AR    $@")
	$(Q)rm -f $@
	$(Q)ar rcs $@ $^

$(B)/chat-worker: $(WORKER_O) $(B)/libchat_common.a
	$(if $(V),,@echo "  LINK  $@")
	$(Q)$(CC) $(CFLAGS) $^ -o $@ $(LIBS_WORKER)

# the objects that contain the version
$(B)/workers/worker_main.o $(B)/workers/worker_pool.o \
$(B)/workers/ctl/ctl_main.o: VERSION

$(B)/chatctl: $(CTL_O) $(B)/libchat_common.a
	$(if $(V),,@echo "  LINK  $@")
	$(Q)$(CC) $(CFLAGS) $^ -o $@ $(LIBS_WORKER)

# One source for --help and the manual pages: the text in the program.
# help2man runs the program and turns what it prints into troff.
man: workers
	@conf/packages.sh man
	@mkdir -p $(B)/man
	$(Q)$(call HELP2MAN,chatctl,1,manage the chat backend)
	$(Q)$(call HELP2MAN,chat-worker,8,worker processes of the chat backend)

# The date becomes that of the build in the form that man(7) asks for.
HELP2MAN = help2man --no-info --section=$(2) --name='$(3)' $(B)/$(1) | \
    sed "/^\.TH /s/\"[A-Z][a-z]* 20[0-9]*\"/\"$$(date +%F)\"/" \
    > $(B)/man/$(1).$(2)

# unit tests: <word>_test.c is one program; a worker test links the workers too
$(B)/tests/unit/%: tests/unit/%.c $(B)/libchat_common.a $(filter-out $(B)/workers/worker_main.o,$(WORKER_O))
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LINK  $@")
	$(Q)$(CC) $(CFLAGS) -I tests/unit -MMD -MP $< $(filter-out $(B)/workers/worker_main.o,$(WORKER_O)) \
	    $(B)/libchat_common.a -o $@ -lcmocka $(LIBS_WORKER)

$(CONTRACT): tests/store/store_contract.c tests/unit/chat_test.h $(B)/libchat_common.a $(filter-out $(B)/workers/worker_main.o,$(WORKER_O))
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LINK  $@")
	$(Q)$(CC) $(CFLAGS) -MMD -MP $< $(filter-out $(B)/workers/worker_main.o,$(WORKER_O)) \
	    $(B)/libchat_common.a -o $@ -lcmocka $(LIBS_WORKER)

# wraps the allocators, so that each allocation can fail
$(B)/tests/unit/alloc_test: private CFLAGS += \
    -Wl,--wrap=malloc,--wrap=realloc,--wrap=asprintf

# a consumer of the feed, for tests/workers/test_feed.py
$(B)/feed_reader: tests/workers/feed_reader.c $(B)/libchat_common.a $(filter-out $(B)/workers/worker_main.o,$(WORKER_O))
	$(if $(V),,@echo "  LINK  $@")
	$(Q)$(CC) $(CFLAGS) -MMD -MP $(filter-out %.a,$^) \
	    $(B)/libchat_common.a -o $@ $(LIBS_WORKER)

programs: $(UNIT) $(CONTRACT) $(B)/feed_reader

# one line for a program that passes, the full output of one that fails
unit: programs
	@rc=0; for t in $(UNIT); do \
	    if out=$$($$t 2>&1); then \
	        echo "  UNIT  $${t##*/}:$$(echo "$$out" | sed -n 's/.*PASSED  \]//p')"; \
	    else \
	        echo "$$out"; echo "  UNIT  $${t##*/}: FAILED"; rc=1; \
	    fi; \
	done; exit $$rc

# tests/fuzz/<parser>_fuzz.c: one libFuzzer program a parser, with sanitizers.
# Seeds are in tests/fuzz/seeds/<parser>, for frames the cases of the unit
# test; findings stay below $(B)/fuzz, a crash as <parser>_fuzz.crash-*.
FUZZ         := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/*_fuzz.c))
FUZZ_SECONDS ?= 20

$(B)/fuzz/%: tests/fuzz/%.c $(wildcard common/*.[ch])
	@mkdir -p $@.corpus
	clang -std=gnu11 -g -O1 $(WARN) -D_GNU_SOURCE -I common \
	    -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
	    $(filter %.c,$^) -o $@ -ljansson -lsodium

fuzz: $(FUZZ)
	@set -e; for f in $(FUZZ); do \
	    name=$${f##*/}; seeds=tests/fuzz/seeds/$${name%_fuzz}; \
	    [ -d $$seeds ] || seeds=tests/frames; \
	    $$f -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=5 \
	        -verbosity=0 -print_final_stats=1 -artifact_prefix=$$f. \
	        $$f.corpus $$seeds > $$f.log 2>&1 || \
	        { tail -40 $$f.log; exit 1; }; \
	    echo "$$name: $$(sed -n 's/^stat::number_of_executed_units: *//p' \
	        $$f.log) inputs"; \
	done

# ------------------------------------------------------------------- module
# Debian's nginx-dev ships nginx's sources. They are copied, configured with
# the flags of the packaged nginx, and only the module is made from them: they
# lack nginx's own .c files. So with SAN the packaged nginx runs with the
# sanitizers preloaded (build-asan/preload, read by conf/stack.sh).

NGX_B     := $(B)/nginx-src
NGX_FILES := $(sort $(wildcard ngx_chat_module/*.[ch] ngx_chat_module/*/*.[ch] \
               common/*.h))
# nonnull-attribute: nginx copies empty strings, {0, NULL}, as a habit.
# Bsymbolic: after an upgrade and a reload the master holds two of our module,
# and the new one must not call the old one.
NGX_CC    := $(if $(SAN),-O1 -fno-omit-frame-pointer -fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined -fno-sanitize=nonnull-attribute,-O2 -fstack-protector-strong -D_FORTIFY_SOURCE=2) \
             -g -fPIC -Wall -Wextra -Wno-unused-parameter \
             -DCHAT_VERSION=$(VERSION) $(if $(CHAT_TEST),-DCHAT_TEST_BUILD)
NGX_LD    := $(if $(SAN),-fsanitize=address$(comma)undefined,-Wl$(comma)-z$(comma)relro -Wl$(comma)-z$(comma)now) -fPIC -Wl,-Bsymbolic

# not for configure, whose own tests do not include nginx headers
NGX_ASAN  := $(if $(SAN),-include $(CURDIR)/tests/asan/ngx_pool_asan.h)

module: $(B)/ngx_http_chat_module.so $(if $(SAN),$(B)/preload)

# changes when a file is added or removed or a flag changes: then configure
$(B)/ngx.inputs: FORCE
	@mkdir -p $(@D)
	@{ echo '$(CC) $(NGX_CC) $(NGX_LD)'; printf '%s\n' $(NGX_FILES); \
	   cksum ngx_chat_module/config $(NGX_SRC)/conf_flags; } > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(NGX_B)/objs/Makefile: $(B)/ngx.inputs
	$(if $(V),,@echo "  NGINX configure")
	$(Q)rm -rf $(NGX_B)
	$(Q)cp -r $(NGX_SRC) $(NGX_B)
	$(Q)cd $(NGX_B) && . ./conf_flags && \
	    CHAT_LIBCOMMON=$(CURDIR)/$(B)/libchat_common.a \
	    CHAT_LIBHIREDIS=$$($(CC) -print-file-name=libhiredis.a) \
	    ./configure --with-cc=$(CC) "$${NGX_CONF_FLAGS[@]}" \
	    --with-cc-opt='$(NGX_CC)' --with-ld-opt='$(NGX_LD)' \
	    --add-dynamic-module=$(CURDIR)/ngx_chat_module \
	    > configure.log 2>&1 || { tail -20 configure.log >&2; exit 1; }
$(NGX_B)/objs/Makefile: SHELL := /bin/bash

$(B)/ngx_http_chat_module.so: $(NGX_B)/objs/Makefile $(NGX_FILES) $(B)/libchat_common.a
	$(if $(V),,@echo "  NGINX $@")
	$(Q)$(MAKE) --no-print-directory -s -C $(NGX_B) -f objs/Makefile modules \
	    CFLAGS="$$(sed -n 's/^CFLAGS = *//p' $(NGX_B)/objs/Makefile) $(NGX_ASAN)"
	$(Q)cp $(NGX_B)/objs/ngx_http_chat_module.so $@

$(B)/preload:
	$(Q)$(CC) -print-file-name=libasan.so > $@
	$(Q)$(CC) -print-file-name=libubsan.so >> $@

# -------------------------------------------------------------------- stack

run up:
	@conf/packages.sh run
	@$(MAKE) --no-print-directory -j$(JOBS) build
	@CHAT_BUILD=$(CURDIR)/$(B) exec conf/stack.sh $@

down status:
	@CHAT_BUILD=$(CURDIR)/$(B) exec conf/stack.sh $@

packages:
	@conf/packages.sh run test

# -------------------------------------------------------------------- tests
# The test build has test-only features (CHAT_TEST). T=path/to/test.py
# or T="tests/flow -k word" runs a part.

TESTS := $(sort $(dir $(wildcard tests/*/test_*.py)))
T     ?= $(TESTS)

test:
	@conf/packages.sh test
	@$(MAKE) --no-print-directory -j$(JOBS) B=build-test CHAT_TEST=1 build programs
	@$(MAKE) --no-print-directory -j$(JOBS) B=build-clang CC=clang build
	@$(MAKE) --no-print-directory B=build-test CHAT_TEST=1 check

asan:
	@conf/packages.sh test
	@$(MAKE) --no-print-directory -j$(JOBS) B=build-asan CHAT_TEST=1 SAN=1 build programs
	@$(MAKE) --no-print-directory B=build-asan CHAT_TEST=1 SAN=1 check

# F="word ..." runs the faults and suites that have the word in their name
faults:
	@conf/packages.sh faults
	@$(MAKE) --no-print-directory -j$(JOBS) B=build-test CHAT_TEST=1 build
	@CHAT_BUILD=$(CURDIR)/build-test $(PYTHON) tests/faults/run.py $(F)

# runs both, even when the first one fails
check: programs
	@rc=0; $(MAKE) --no-print-directory unit || rc=1; \
	CHAT_BUILD=$(CURDIR)/$(B) CHAT_SAN=$(SAN) \
	    $(PYTHON) -m pytest -q -c tests/pytest.ini $(T) || rc=1; \
	exit $$rc

# tests/bench/__main__.py says what else can be run: `python3 tests/bench w5`
bench bench-quick flame:
	@conf/packages.sh bench
	@$(MAKE) --no-print-directory build $(B)/chatload
	@CHAT_BUILD=$(CURDIR)/$(B) $(PYTHON) tests/bench \
	    $(patsubst bench-%,%,$(filter-out bench,$@))

# The load tool. HdrHistogram's C sources come inside an npm package.
BENCH_HDR := tests/bench/node_modules/native-hdr-histogram/HdrHistogram_c/src
BENCH_C   := $(wildcard tests/bench/*.c)

$(BENCH_HDR)/hdr_histogram.c: tests/bench/package-lock.json
	@cd tests/bench && npm ci --silent
	@touch $@

$(B)/hdr_histogram.o: $(BENCH_HDR)/hdr_histogram.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -g -c $< -o $@

$(B)/chatload: $(BENCH_C) $(wildcard tests/bench/*.h) $(B)/hdr_histogram.o $(B)/libchat_common.a
	$(Q)$(CC) $(CFLAGS) -I tests/bench -isystem $(BENCH_HDR) $(BENCH_C) \
	    $(B)/hdr_histogram.o $(B)/libchat_common.a -o $@ \
	    -lssl -lcrypto -lsodium -ljansson -lpq -lm

# build with clang, and check spelling
lint:
	@conf/packages.sh lint
	$(MAKE) --no-print-directory -j$(JOBS) B=build-clang CC=clang build
	codespell --skip='*.lock,*.json' common workers ngx_chat_module conf sql docs README.md

# Prints per directory the system and project headers that its files include.
rooms:
	@for dir in common ngx_chat_module ngx_chat_module/*/ workers workers/*/; do \
	    set -- $${dir%/}/*.[ch]; [ -e "$$1" ] || continue; \
	    printf '%-26s' "$${dir%/}"; \
	    sed -n 's/^#include [<"]\(.*\)[>"].*/\1/p' "$$@" | sort -u | \
	        tr '\n' ' ' | fold -s -w 52 | sed '2,$$s/^/                          /'; \
	    echo; \
	done

clean:
	rm -rf $(B)

-include $(COMMON_O:.o=.d) $(WORKER_O:.o=.d) $(CTL_O:.o=.d)
