/*
 * feed_reader.c: a consumer of the feed for tests.
 *
 *     feed_reader CONF ROLE [noack|unregister]
 *
 * Prints a line of JSON for each record until SIGTERM. `noack` never
 * acknowledges; `unregister` switches the role off and ends.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "chat_entry.h"
#include "chat_id.h"
#include "feed.h"

static void reader_print(const feed_record_t *r);


static void
reader_stop(int sig)
{
    worker_stopping = 1;
}


int
main(int argc, char **argv)
{
    int            ack;
    char           consumer[64];
    size_t         i;
    feed_t        *feed;
    feed_batch_t   batch;
    worker_conf_t  conf;

    if (argc < 3 || worker_conf_load(argv[1], &conf) != 0) {
        return 2;
    }

    (void) signal(SIGTERM, reader_stop);
    worker_log_open("feed_reader", "info");
    (void) snprintf(consumer, sizeof(consumer), "reader.%d", (int) getpid());

    feed = feed_open(&conf, argv[2], consumer);

    if (argc == 4 && strcmp(argv[3], "unregister") == 0) {
        worker_stopping = feed_unregister(feed) == 0;
    }

    ack = argc == 3;

    while (!worker_stopping) {

        if (feed_read(feed, 200, &batch) == 0) {

            for (i = 0; i < batch.n; i++) {
                reader_print(&batch.records[i]);
            }

            fflush(stdout);

            if (ack) {
                (void) feed_ack(feed, &batch);
            }
        }

        feed_batch_free(&batch);
    }

    feed_close(&feed);
    worker_conf_free(&conf);

    return 0;
}


static void
reader_print(const feed_record_t *r)
{
    char  id[CHAT_ID_TEXT];

    (void) chat_id_print(r->rec.chat, id);

    printf("{\"shard\":%u,\"chat\":\"%.*s\",\"seq\":%" PRIu64 ",\"kind\":\"%s\","
           "\"flags\":%u,\"chatType\":%u,\"sender\":%" PRIu64 ",\"device\":%"
           PRIu64 ",\"timestamp\":%" PRId64 ",\"target\":%" PRIu64
           ",\"subject\":%" PRIu64 ",\"version\":%" PRIu64 ",\"members\":%u,"
           "\"contentType\":\"%.*s\",\"mentions\":%zu}\n",
           r->shard, CHAT_ID_TEXT, id, r->rec.seq, chat_kind_word(r->rec.kind),
           r->rec.flags, r->rec.chat_type, r->rec.sender, r->rec.sender_device,
           r->rec.timestamp, r->rec.target, r->rec.subject,
           r->rec.members_version, r->rec.members,
           (int) r->rec.content_type.len,
           r->rec.content_type.data ? r->rec.content_type.data : "",
           r->rec.nmentions);
}
