/* The load's loops: connections kept busy with one frame that was made beforehand.

   A shared library for `engine.py`, which opens the connections, checks an echo of each, and hands
   over the descriptors.  What comes back is counted and thrown away by the kernel (MSG_TRUNC): the
   load takes as little as it can from the core that it may share with the server. */

#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 512, MOST_READ = 1 << 20, STEPS = 32, PATIENCE = 20000 /* ms */ };

/* `frame` has `size` bytes, and `echo` bytes come back for it.  Each of the `count` connections has
   `in_flight` messages under way.  `nanoseconds`: for how long new messages leave.  `histogram`:
   where latencies are counted; see `bucket`. */
struct job {
    const int *fds;
    int count, in_flight;
    const char *frame;
    size_t size, echo;
    int64_t nanoseconds;
    uint64_t *histogram;
};

/* A connection: bytes not written yet, bytes of an echo that has begun, whether epoll is asked for
   room to write, and when the messages under way were written. */
struct link {
    int fd, is_blocked;
    size_t unsent, received;
    unsigned sent, done;
    int64_t *stamps;
};

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* Each power of two is divided into STEPS buckets: figures.py has the inverse. */
static unsigned bucket(uint64_t value) {
    if (value < 2 * STEPS) return value;
    unsigned shift = 63 - __builtin_clzll(value) - 5;
    return shift * STEPS + (value >> shift);
}

/* Write what is unsent, a call for each frame, as far as it goes; return 1 if there is a rest, 0 if
   not, -1 if the connection broke. */
static int flush(const struct job *job, struct link *link) {
    while (link->unsent) {
        size_t begun = (job->size - link->unsent % job->size) % job->size;
        ssize_t sent = send(link->fd, job->frame + begun, job->size - begun, MSG_NOSIGNAL);
        if (sent < 0) return errno == EAGAIN ? 1 : -1;
        link->unsent -= sent;
    }
    return 0;
}

static int push(const struct job *job, struct link *link, unsigned messages, int64_t time) {
    for (unsigned i = 0; i < messages; i++)
        link->stamps[link->sent++ % job->in_flight] = time;
    link->unsent += messages * job->size;
    return flush(job, link);
}

/* Read once; return how many messages that completes, or -1. */
static long take(const struct job *job, struct link *link, int64_t time) {
    ssize_t size = recv(link->fd, NULL, MOST_READ, MSG_TRUNC);
    if (size <= 0) return -1;
    long done = 0;
    for (link->received += size; link->received >= job->echo; link->received -= job->echo) {
        job->histogram[bucket(time - link->stamps[link->done++ % job->in_flight])]++;
        done++;
    }
    return done;
}

static int watch(int epoll, int operation, struct link *link, int is_blocked) {
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = link };
    if (is_blocked) event.events |= EPOLLOUT;
    link->is_blocked = is_blocked;
    return epoll_ctl(epoll, operation, link->fd, &event);
}

/* Do what an event asks for; return how many messages are done, or -1 if the server went away.
   Until `end` a new message takes the place of each. */
static long handle(const struct job *job, struct link *link, int epoll, unsigned event,
                   int64_t end, long *under_way) {
    int rest = link->is_blocked;
    long messages = 0;
    if (event & EPOLLOUT) rest = flush(job, link);
    if (event & EPOLLIN) {
        int64_t time = now();
        messages = take(job, link, time);
        if (messages < 0) return -1;
        if (time >= end) *under_way -= messages;
        else if (messages) rest = push(job, link, messages, time);
    } else if (!(event & EPOLLOUT)) return -1;
    if (rest < 0 || (rest != link->is_blocked && watch(epoll, EPOLL_CTL_MOD, link, rest)))
        return -1;
    return messages;
}

static long echo(const struct job *job, struct link *links, int epoll) {
    struct epoll_event events[EVENTS];
    int64_t end = now() + job->nanoseconds;
    long done = 0, under_way = (long)job->count * job->in_flight;
    for (int i = 0; i < job->count; i++) {
        int rest = push(job, &links[i], job->in_flight, now());
        if (rest < 0 || watch(epoll, EPOLL_CTL_ADD, &links[i], rest)) return -ECONNRESET;
    }
    while (under_way) {
        int count = epoll_wait(epoll, events, EVENTS, PATIENCE);
        if (count <= 0) return count ? -errno : -ETIMEDOUT;
        for (int i = 0; i < count; i++) {
            struct link *link = events[i].data.ptr;
            long messages = handle(job, link, epoll, events[i].events, end, &under_way);
            if (messages < 0) return -ECONNRESET;
            done += messages;
        }
    }
    return done;
}

/* The first connection sends; all get it, and then it sends again. */
static long broadcast(const struct job *job, struct link *links, int epoll) {
    struct epoll_event events[EVENTS];
    int64_t end = now() + job->nanoseconds;
    long done = 0;
    for (int i = 0; i < job->count; i++)
        if (watch(epoll, EPOLL_CTL_ADD, &links[i], 0)) return -ECONNRESET;
    do {
        int64_t time = now();
        for (int i = 0; i < job->count; i++)
            links[i].stamps[links[i].sent++ % job->in_flight] = time;
        links[0].unsent = job->size;
        if (flush(job, &links[0])) return -ECONNRESET;
        for (long left = job->count; left;) {
            int count = epoll_wait(epoll, events, EVENTS, PATIENCE);
            if (count <= 0) return count ? -errno : -ETIMEDOUT;
            for (int i = 0; i < count; i++) {
                long messages = take(job, events[i].data.ptr, now());
                if (messages < 0) return -ECONNRESET;
                left -= messages;
                done += messages;
            }
        }
    } while (now() < end);
    return done;
}

/* Do `job`; return how many messages came back, or an errno below zero. */
long run(const struct job *job, int is_broadcast) {
    long done = -ENOMEM;
    struct link *links = calloc(job->count, sizeof *links);
    int64_t *stamps = calloc((size_t)job->count * job->in_flight, sizeof *stamps);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (links && stamps && epoll >= 0) {
        for (int i = 0; i < job->count; i++) {
            links[i].fd = job->fds[i];
            links[i].stamps = stamps + (size_t)i * job->in_flight;
        }
        done = (is_broadcast ? broadcast : echo)(job, links, epoll);
    }
    if (epoll >= 0) close(epoll);
    free(stamps);
    free(links);
    return done;
}
