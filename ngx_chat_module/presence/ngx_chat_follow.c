/*
 * ngx_chat_follow.c: records which session follows the presence of which user.
 *
 * Called from: presence, session. Hands to: notify. An ngx_chat_follow_t is in
 * two collections: in the list of its session, sorted by user, and in the
 * queue of followers of its user. When the last follower on this edge is
 * removed, the user is removed too and the presence workers are sent an
 * UNWATCH. A session that follows nobody uses no memory here.
 */

#include "ngx_chat_session.h"
#include "ngx_chat_presence.h"


#define BY_USER  offsetof(ngx_chat_followed_t, user),                         \
                 offsetof(ngx_chat_followed_t, next)


static ngx_chat_follows_t *ngx_chat_follow_open(ngx_chat_session_t *s);
static ngx_chat_followed_t *ngx_chat_followed_add(uint64_t user);
static void ngx_chat_followed_leave(ngx_chat_follow_t *f);
static ngx_uint_t ngx_chat_follow_pos(ngx_chat_follows_t *fs, uint64_t user);


ngx_chat_followed_t *
ngx_chat_followed_find(uint64_t user)
{
    return ngx_chat_hash_find(&ngx_chat_edge->followed, user, BY_USER);
}


ngx_chat_follow_t *
ngx_chat_follow_find(ngx_chat_session_t *s, uint64_t user)
{
    ngx_uint_t           i;
    ngx_chat_follows_t  *fs;

    fs = s->follows;

    if (fs == NULL) {
        return NULL;
    }

    i = ngx_chat_follow_pos(fs, user);

    return i < fs->n && fs->list[i]->followed->user == user ? fs->list[i]
                                                            : NULL;
}


/* Adds a follow. The session must not follow this user yet. NULL out of
 * memory. The follow is owned by this file until it is removed or dropped. */

ngx_chat_follow_t *
ngx_chat_follow_add(ngx_chat_session_t *s, uint64_t user)
{
    ngx_uint_t            i, cap;
    ngx_chat_follow_t    *f, **list;
    ngx_chat_follows_t   *fs;
    ngx_chat_followed_t  *followed;

    fs = s->follows ? s->follows : ngx_chat_follow_open(s);
    if (fs == NULL) {
        return NULL;
    }

    if (fs->n == fs->cap) {
        cap = ngx_max(fs->cap * 2, 8);

        list = ngx_chat_alloc(cap * sizeof(ngx_chat_follow_t *));
        if (list == NULL) {
            return NULL;
        }

        if (fs->list) {
            ngx_memcpy(list, fs->list, fs->n * sizeof(ngx_chat_follow_t *));
            ngx_free(fs->list);
        }

        fs->list = list;
        fs->cap = cap;
    }

    f = ngx_chat_alloc(sizeof(ngx_chat_follow_t));
    if (f == NULL) {
        return NULL;
    }

    followed = ngx_chat_followed_find(user);

    if (followed == NULL) {
        followed = ngx_chat_followed_add(user);

        if (followed == NULL) {
            ngx_free(f);
            return NULL;
        }
    }

    f->session = s;
    f->followed = followed;
    ngx_queue_insert_tail(&followed->follows, &f->link);

    i = ngx_chat_follow_pos(fs, user);
    ngx_memmove(fs->list + i + 1, fs->list + i,
                (fs->n - i) * sizeof(ngx_chat_follow_t *));
    fs->list[i] = f;
    fs->n++;
    ngx_chat_edge->nfollows++;

    return f;
}


/* Removes a follow; the last one frees the session's list as well. */

void
ngx_chat_follow_remove(ngx_chat_follow_t *f)
{
    ngx_uint_t           i;
    ngx_chat_session_t  *s;
    ngx_chat_follows_t  *fs;

    s = f->session;
    fs = s->follows;

    i = ngx_chat_follow_pos(fs, f->followed->user);
    fs->n--;
    ngx_memmove(fs->list + i, fs->list + i + 1,
                (fs->n - i) * sizeof(ngx_chat_follow_t *));

    ngx_chat_followed_leave(f);
    ngx_free(f);

    if (fs->n == 0) {
        ngx_chat_follow_drop(s);
    }
}


/* Removes all follows of a session that ends or follows nobody any more. */

void
ngx_chat_follow_drop(ngx_chat_session_t *s)
{
    ngx_uint_t           i;
    ngx_chat_follows_t  *fs;

    fs = s->follows;

    if (fs == NULL) {
        return;
    }

    for (i = 0; i < fs->n; i++) {
        ngx_chat_followed_leave(fs->list[i]);
        ngx_free(fs->list[i]);
    }

    ngx_queue_remove(&fs->link);

    if (fs->in_updates) {
        ngx_queue_remove(&fs->updates);
    }

    ngx_free(fs->list);
    ngx_free(fs);
    s->follows = NULL;
}


static ngx_chat_follows_t *
ngx_chat_follow_open(ngx_chat_session_t *s)
{
    ngx_chat_follows_t  *fs;

    fs = ngx_chat_alloc(sizeof(ngx_chat_follows_t));
    if (fs == NULL) {
        return NULL;
    }

    fs->session = s;
    s->follows = fs;
    ngx_queue_insert_tail(&ngx_chat_edge->following, &fs->link);

    return fs;
}


static ngx_chat_followed_t *
ngx_chat_followed_add(uint64_t user)
{
    ngx_chat_followed_t  *followed;

    followed = ngx_chat_alloc(sizeof(ngx_chat_followed_t));
    if (followed == NULL) {
        return NULL;
    }

    followed->user = user;
    ngx_queue_init(&followed->follows);

    if (ngx_chat_hash_add(&ngx_chat_edge->followed, followed, BY_USER)
        != NGX_OK)
    {
        ngx_free(followed);
        return NULL;
    }

    return followed;
}


static void
ngx_chat_followed_leave(ngx_chat_follow_t *f)
{
    ngx_chat_followed_t  *followed;

    followed = f->followed;

    ngx_queue_remove(&f->link);
    ngx_chat_edge->nfollows--;

    if (!ngx_queue_empty(&followed->follows)) {
        return;
    }

    ngx_chat_hash_remove(&ngx_chat_edge->followed, followed, BY_USER);
    ngx_chat_notify(CHAT_EV_UNWATCH, followed->user);
    ngx_free(followed);
}


/* The position of this user in the list, or where to insert it. */

static ngx_uint_t
ngx_chat_follow_pos(ngx_chat_follows_t *fs, uint64_t user)
{
    ngx_uint_t  low, high, mid;

    low = 0;
    high = fs->n;

    while (low < high) {
        mid = (low + high) / 2;

        if (fs->list[mid]->followed->user < user) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }

    return low;
}
