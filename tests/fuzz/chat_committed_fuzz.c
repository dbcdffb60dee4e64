/*
 * chat_committed_fuzz.c: records that chat_committed_next() takes are written
 * by chat_committed_add() so that they read the same.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "chat_committed.h"


static void
require(int fact)
{
    if (!fact) {
        abort();
    }
}


static void
same(const chat_committed_t *a, const chat_committed_t *b)
{
    size_t  i;

    require(memcmp(a->chat, b->chat, 16) == 0);
    require(a->seq == b->seq && a->kind == b->kind && a->flags == b->flags);
    require(a->sender == b->sender && a->timestamp == b->timestamp);
    require(a->members_version == b->members_version);
    require(a->members == b->members);
    require(a->content_type.len == b->content_type.len);
    require((a->content_type.data == NULL) == (b->content_type.data == NULL));
    require(a->nmentions == b->nmentions);

    for (i = 0; i < a->nmentions; i++) {
        require(chat_committed_mention(a, i) == chat_committed_mention(b, i));
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    int                rc;
    size_t             pos, back;
    uint8_t           *copy;
    chat_buf_t         buf = CHAT_BUF_INIT;
    chat_committed_t   rec, again;

    copy = malloc(len ? len : 1);
    memcpy(copy, data, len);

    if (chat_committed_open(copy, len, &pos) == 0) {

        while ((rc = chat_committed_next(copy, len, &pos, &rec)) == 1) {
            chat_buf_reset(&buf);
            require(chat_committed_add(&buf, &rec) == 0);
            require(chat_committed_open(buf.data, buf.len, &back) == 0);
            require(chat_committed_next(buf.data, buf.len, &back, &again) == 1);
            require(back == buf.len);
            same(&rec, &again);
        }

        require(rc == -1 || pos == len);
    }

    chat_buf_free(&buf);
    free(copy);

    return 0;
}
