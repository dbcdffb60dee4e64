# make            what there is
# make build      module, workers, chatctl under build/
# B=build-asan SAN=1 make build    the same with AddressSanitizer and UBSan
#
# Sources are found by pattern: common/*.c, workers/*/*.c, ngx_chat_module/*.c,
# tests/unit/<word>_test.c. A new file needs no line here.

B       ?= build
CC      ?= gcc
SAN     ?=
NGX_SRC ?= /usr/share/nginx/src

WARN    := -Wall -Wextra -Werror -Wshadow -Wno-unused-parameter
comma   := ,
OPT     := $(if $(SAN),-O1 -fno-omit-frame-pointer -fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined,-O2)
CFLAGS  := -std=gnu11 -g $(OPT) $(WARN) -fPIC -fvisibility=hidden -D_GNU_SOURCE \
           -I common -I workers -I workers/message -I workers/store \
           -I workers/api -I workers/sync -I workers/push -I workers/presence \
           -I /usr/include/postgresql $(EXTRA_CFLAGS)
LIBS_WORKER := -lhiredis -lpq -ljansson -lsodium -lmicrohttpd -lcurl -lpthread -lm

COMMON_O  := $(patsubst %.c,$(B)/%.o,$(wildcard common/*.c))
# everything a worker process is made of; ctl/ has main() of chatctl
WORKER_C  := $(wildcard workers/*.c) $(filter-out $(wildcard workers/ctl/*.c),$(wildcard workers/*/*.c))
WORKER_O  := $(patsubst %.c,$(B)/%.o,$(WORKER_C))
CTL_O     := $(patsubst %.c,$(B)/%.o,$(wildcard workers/ctl/*.c)) \
             $(filter-out $(B)/workers/worker_main.o,$(WORKER_O))
UNIT      := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/*_test.c))

.PHONY: help build common workers module unit clean rooms

help:
	@sed -n 's/^# \(make.*\)/\1/p' Makefile

build: common workers module

common: $(B)/libchat_common.a
workers: $(B)/chat-worker $(B)/chatctl

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

$(B)/libchat_common.a: $(COMMON_O)
	rm -f $@
	ar rcs $@ $^

$(B)/chat-worker: $(WORKER_O) $(B)/libchat_common.a
	$(CC) $(CFLAGS) $^ -o $@ $(LIBS_WORKER)

$(B)/chatctl: $(CTL_O) $(B)/libchat_common.a
	$(CC) $(CFLAGS) $^ -o $@ $(LIBS_WORKER)

# unit tests: <word>_test.c is one program; a worker test links the workers too
$(B)/tests/unit/%: tests/unit/%.c $(B)/libchat_common.a $(filter-out $(B)/workers/worker_main.o,$(WORKER_O))
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -I tests/unit -MMD -MP $< $(filter-out $(B)/workers/worker_main.o,$(WORKER_O)) \
	    $(B)/libchat_common.a -o $@ -lcmocka $(LIBS_WORKER)

unit: $(UNIT)
	@set -e; for t in $(UNIT); do $$t; done

clean:
	rm -rf $(B)

-include $(COMMON_O:.o=.d) $(WORKER_O:.o=.d) $(CTL_O:.o=.d)
