/*
 * ctl_dead_show.c: prints a dead event, on one line or in full.
 *
 * Called from ctl_dead.c. Prints the metadata of the event; of its contents
 * only the length.
 */

#include <inttypes.h>
#include <string.h>

#include "chat_id.h"
#include "chat_json.h"
#include "ctl.h"
#include "ctl_dead.h"

static void ctl_dead_show_event(const chat_event_t *ev);
static const char *ctl_dead_word(unsigned type);


int
ctl_dead_list(redis_t *r, const ctl_dead_t *d)
{
    chat_event_t  ev;

    if (chat_event_decode((const uint8_t *) d->event.data, d->event.len, &ev)
        != 0)
    {
        memset(&ev, 0, sizeof(ev));
    }

    printf("%s failures=%.*s error=%.*s stream=%.*s type=%s bytes=%zu\n",
           d->id, (int) d->failures.len, d->failures.data, (int) d->error.len,
           d->error.data, (int) d->stream.len, d->stream.data,
           ctl_dead_word(ev.type), d->event.len);

    return 0;
}


int
ctl_dead_show(redis_t *r, const ctl_dead_t *d)
{
    chat_event_t  ev;

    printf("id           %s\n"
           "stream       %.*s\n"
           "original id  %.*s\n"
           "error        %.*s\n"
           "failures     %.*s\n"
           "moved at     %.*s\n"
           "bytes        %zu\n",
           d->id, (int) d->stream.len, d->stream.data, (int) d->origin.len,
           d->origin.data, (int) d->error.len, d->error.data,
           (int) d->failures.len, d->failures.data, (int) d->at.len,
           d->at.data, d->event.len);

    if (chat_event_decode((const uint8_t *) d->event.data, d->event.len, &ev)
        != 0)
    {
        printf("event        cannot be decoded\n");
        return 0;
    }

    ctl_dead_show_event(&ev);

    return 0;
}


static void
ctl_dead_show_event(const chat_event_t *ev)
{
    char     chat[CHAT_ID_TEXT + 1];
    uint8_t  time[CHAT_TIME_TEXT + 1];

    *chat_id_print(ev->chat, chat) = '\0';
    *chat_json_time(time, ev->received) = '\0';

    printf("event        %s\n"
           "by REST      %s\n"
           "edge         %016" PRIx64 "\n"
           "session      %" PRIu64 "\n"
           "user         %" PRIu64 "\n"
           "device       %" PRIu64 "\n"
           "received     %s\n"
           "chat         %s\n"
           "seq          %" PRIu64 "\n"
           "message id   %.*s\n"
           "content      %zu bytes\n"
           "content type %zu bytes\n"
           "media id     %zu bytes\n"
           "body         %zu bytes\n",
           ctl_dead_word(ev->type),
           (ev->flags & CHAT_EV_F_REST) ? "yes" : "no", ev->edge, ev->session,
           ev->user, ev->device, (char *) time, chat, ev->seq,
           (int) ev->message_id.len,
           ev->message_id.data ? ev->message_id.data : "", ev->content.len,
           ev->content_type.len, ev->media_id.len, ev->body.len);
}


static const char *
ctl_dead_word(unsigned type)
{
    static const char *const  words[] = {
        "unknown", "send", "edit", "delete", "react", "receipts", "typing",
        "chat_create", "chat_change", "chat_leave", "members_add",
        "member_change", "member_remove"
    };

    return words[type < sizeof(words) / sizeof(words[0]) ? type : 0];
}
