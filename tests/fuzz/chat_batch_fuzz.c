/*
 * chat_batch_fuzz.c: chat_batch_next() stays within its input, terminates,
 * and its records are written again as the same bytes.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "chat_batch.h"


static void
require(int fact)
{
    if (!fact) {
        abort();
    }
}


static void
touch(const void *data, size_t len)
{
    size_t  i;

    static volatile uint8_t  sink;

    for (i = 0; i < len; i++) {
        sink = sink ^ ((const uint8_t *) data)[i];
    }
}


static void
check(const uint8_t *data, size_t len, size_t pos, int depth)
{
    int               rc;
    size_t            i, before, mark, at;
    chat_rec_t        rec, again;
    chat_buf_t        buf = CHAT_BUF_INIT;
    chat_target_t     target;
    const uint8_t    *p;
    chat_presence_t   presence;
    chat_list_item_t  item;

    for ( ;; ) {

        before = pos;
        rc = chat_batch_next(data, len, &pos, &rec);

        if (rc != 1) {
            require(rc == -1 || pos == len);
            break;
        }

        require(pos > before && pos <= len);

        touch(rec.message_id.data, rec.message_id.len);
        touch(rec.frame.data, rec.frame.len);

        p = rec.items;

        if (rec.type == CHAT_REC_SYNC_PAGE) {

            if (depth < 3) {
                check(rec.items, rec.nitems, 0, depth + 1);
            }

        } else if (rec.type == CHAT_REC_SYNC_LIST) {
            for (i = 0; i < rec.nitems; i++) {
                p = chat_batch_read_item(p, &item);
            }

        } else if (rec.type == CHAT_REC_PRESENCE) {
            for (i = 0; i < rec.nitems; i++) {
                p = chat_batch_read_presence(p, &presence);
            }

        } else {
            for (i = 0; i < rec.nitems; i++) {
                p = chat_batch_read_target(p, &target);
            }
        }

        chat_buf_reset(&buf);
        require(chat_batch_rec(&buf, &rec, &mark) == 0);
        require(chat_batch_end(&buf, mark) == 0);

        at = 0;
        require(chat_batch_next(buf.data, buf.len, &at, &again) == 1);
        require(at == buf.len);
        require(again.type == rec.type && again.seq == rec.seq);
        require(again.session == rec.session && again.nitems == rec.nitems);
        require(again.frame.len == rec.frame.len);
    }

    chat_buf_free(&buf);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    size_t    pos;
    uint8_t  *copy;

    copy = malloc(len ? len : 1);
    memcpy(copy, data, len);

    if (chat_batch_open(copy, len, &pos) == 0) {
        check(copy, len, pos, 0);
    }

    free(copy);

    return 0;
}
