/* The limit: bytes echoed over epoll, without Python and without WebSocket.

   echo MODE       MODE is "echo", or "broadcast" to send what one connection sent to all of them.

   Prints {"port": N} when it listens on 127.0.0.1, and ends when its standard input ends. */

#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 256 * 1024, EVENTS = 512, BACKLOG = 1024, MOST = 65536 };

/* What the socket did not take yet, and whether the descriptor is a connection. */
static struct client { char *rest; size_t unsent; int is_open; } clients[MOST];
static char buffer[CHUNK];
static int epoll, highest;

static void fail(const char *what) { perror(what); exit(1); }

static void watch(int fd, int operation, unsigned events) {
    struct epoll_event event = { .events = events, .data.fd = fd };
    if (epoll_ctl(epoll, operation, fd, &event)) fail("epoll_ctl");
}

static void drop(int fd) {
    free(clients[fd].rest);
    clients[fd] = (struct client){ 0 };
    close(fd);
}

static void flush_rest(int fd) {
    struct client *client = &clients[fd];
    ssize_t sent = send(fd, client->rest, client->unsent, MSG_NOSIGNAL);
    if (sent < 0) { if (errno != EAGAIN) drop(fd); return; }
    client->unsent -= sent;
    memmove(client->rest, client->rest + sent, client->unsent);
    if (!client->unsent) watch(fd, EPOLL_CTL_MOD, EPOLLIN);
}

/* Send `size` bytes; keep what the socket does not take, and read nothing more until it is gone. */
static void push(int fd, const char *data, size_t size) {
    struct client *client = &clients[fd];
    ssize_t sent = client->unsent ? 0 : send(fd, data, size, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return; /* its end is read soon */
    size_t taken = sent < 0 ? 0 : sent, rest = size - taken;
    if (!rest) return;
    if (!client->unsent) watch(fd, EPOLL_CTL_MOD, EPOLLOUT);
    client->rest = realloc(client->rest, client->unsent + rest);
    if (!client->rest) fail("realloc");
    memcpy(client->rest + client->unsent, data + taken, rest);
    client->unsent += rest;
}

static void accept_one(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), yes = 1;
    if (fd < 0) return;
    if (fd >= MOST) { close(fd); return; }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    clients[fd].is_open = 1;
    if (fd > highest) highest = fd;
    watch(fd, EPOLL_CTL_ADD, EPOLLIN);
}

static int listen_and_tell(void) {
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size)
        || listen(listener, BACKLOG) || getsockname(listener, (struct sockaddr *)&address, &size))
        fail("listen");
    printf("{\"port\": %d}\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

int main(int argc, char **argv) {
    int is_broadcast = argc > 1 && !strcmp(argv[1], "broadcast");
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_and_tell();
    watch(listener, EPOLL_CTL_ADD, EPOLLIN);
    watch(STDIN_FILENO, EPOLL_CTL_ADD, EPOLLIN);
    struct epoll_event events[EVENTS];
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        if (count < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == STDIN_FILENO) return 0;
            if (fd == listener) { accept_one(listener); continue; }
            if (clients[fd].unsent) { flush_rest(fd); continue; }
            ssize_t size = recv(fd, buffer, CHUNK, 0);
            if (size <= 0) { if (!size || errno != EAGAIN) drop(fd); continue; }
            if (!is_broadcast) { push(fd, buffer, size); continue; }
            for (int one = 0; one <= highest; one++)
                if (clients[one].is_open) push(one, buffer, size);
        }
    }
}
