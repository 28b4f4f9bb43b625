/* A platform that answers at once: OpenAI chat completions and Anthropic messages, one thread, one epoll.
 *
 *   upstream PORT KEY
 *
 * The model's name says how it streams: `anything-100x50ms` is 100 pieces of text, one every 50 ms; `x0ms` sends them without
 * a pause. Every piece is a send of its own and reads `<number>@<microseconds of the monotonic clock> `, so that whoever
 * receives it can tell whether one is missing and how long it took. A wrong key is answered with 401, a body without a length
 * with 411. Bodies are drained, not kept: of a long one only both ends are looked at. Pauses are at most 8 seconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD = 16384, EDGE = 4096, WHEEL = 8192 };

typedef struct conn {
  int fd, status, anthropic, usage, streaming, wants_out, every_ms;
  int next, pieces;                    /* of a stream */
  long long body_left;                 /* of the request, while it is drained */
  size_t have, first, last, out_from, out_to, out_room;
  char head[HEAD + 1], first_bytes[EDGE + 1], last_bytes[EDGE + 1], *out;
  struct conn *later;                  /* in a slot of the wheel */
} conn;

static const char *key;
static int poller;
static conn *wheel[WHEEL];
static uint64_t wheel_at;
static long waiting;                   /* connections in the wheel */

static uint64_t micros(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}

static void watch(conn *c, int out) {
  if (c->wants_out == out) return;
  struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c};
  epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
  c->wants_out = out;
}

static void end(conn *c) {
  close(c->fd);
  c->fd = -1;
  free(c->out);
  c->out = NULL;
  if (!c->streaming || !c->every_ms) free(c); /* else the wheel still holds it, and frees it */
}

/* Sends what is pending; -1 when the connection is gone. */
static int flush(conn *c) {
  while (c->out_from < c->out_to) {
    ssize_t n = send(c->fd, c->out + c->out_from, c->out_to - c->out_from, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN ? (watch(c, 1), 0) : -1;
    c->out_from += n;
  }
  c->out_from = c->out_to = 0;
  watch(c, 0);
  return 0;
}

static int say(conn *c, const char *text, size_t n) {
  if (c->out_to + n > c->out_room && !(c->out = realloc(c->out, c->out_room = 2 * (c->out_to + n)))) exit(1);
  memcpy(c->out + c->out_to, text, n);
  c->out_to += n;
  return flush(c);
}

static int say_chunk(conn *c, const char *text) {
  char whole[1024];
  int n = snprintf(whole, sizeof whole, "%zx\r\n%s\r\n", strlen(text), text);
  return say(c, whole, n);
}

#define CHUNK "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\",\"system_fingerprint\":null,"
#define NO_USAGE (c->usage ? ",\"usage\":null" : "")

static int say_piece(conn *c) {
  char text[64], event[512];
  snprintf(text, sizeof text, "%d@%llu ", c->next++, (unsigned long long)micros());
  if (c->anthropic)
    snprintf(event, sizeof event,
             "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"%s\"}}\n\n", text);
  else
    snprintf(event, sizeof event, CHUNK "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"},\"logprobs\":null,\"finish_reason\":null}]%s}\n\n", text, NO_USAGE);
  return say_chunk(c, event);
}

static int say_start(conn *c) {
  static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
  if (say(c, head, sizeof head - 1)) return -1;
  if (!c->anthropic) {
    char event[512];
    snprintf(event, sizeof event, CHUNK "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}]%s}\n\n", NO_USAGE);
    return say_chunk(c, event);
  }
  return say_chunk(c, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"bench\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":100,\"output_tokens\":1}}}\n\n")
      || say_chunk(c, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n")
      || say_chunk(c, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
}

static int say_finish(conn *c) {
  int bad;
  if (c->anthropic)
    bad = say_chunk(c, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n")
      || say_chunk(c, "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"input_tokens\":100,\"output_tokens\":200}}\n\n")
      || say_chunk(c, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
  else {
    char event[512];
    snprintf(event, sizeof event, CHUNK "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]%s}\n\n", NO_USAGE);
    bad = say_chunk(c, event)
      || (c->usage && say_chunk(c, CHUNK "\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":200,\"total_tokens\":300}}\n\n"))
      || say_chunk(c, "data: [DONE]\n\n");
  }
  c->streaming = 0;
  return bad || say(c, "0\r\n\r\n", 5);
}

/* As much of a stream without pauses as the connection takes. */
static int burst(conn *c) {
  while (c->next < c->pieces && c->out_to == 0)
    if (say_piece(c)) return -1;
  return c->next == c->pieces && c->out_to == 0 ? say_finish(c) : 0;
}

static void later(conn *c, uint64_t ms) {
  conn **slot = &wheel[ms % WHEEL];
  c->later = *slot;
  *slot = c;
  waiting++;
}

static int say_whole(conn *c) {
  static const char openai[] = "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"A gateway stands between those who ask and those who answer. It keeps the keys. End.\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":20,\"total_tokens\":120}}";
  static const char anthropic[] = "{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"bench\",\"content\":[{\"type\":\"text\",\"text\":\"A gateway stands between those who ask and those who answer. It keeps the keys. End.\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":100,\"output_tokens\":20}}";
  const char *body = c->anthropic ? anthropic : openai, *line = "200 OK";
  char whole[2048], error[512];
  if (c->status != 200) {
    const char *why = c->status == 401 ? "wrong key" : c->status == 404 ? "no such path" : "a body needs a length";
    const char *type = c->status == 401 && c->anthropic ? "authentication_error" : "invalid_request_error";
    line = c->status == 401 ? "401 Unauthorized" : c->status == 404 ? "404 Not Found" : "411 Length Required\r\nconnection: close";
    if (c->anthropic) snprintf(error, sizeof error, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"%s\"}}", type, why);
    else snprintf(error, sizeof error, "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"param\":null,\"code\":%s}}", why, type, c->status == 401 ? "\"invalid_api_key\"" : "null");
    body = error;
  }
  int n = snprintf(whole, sizeof whole, "HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s", line, strlen(body), body);
  return say(c, whole, n) || c->status == 411 ? -1 : 0; /* where such a body ends is not known, so nothing can follow it */
}

/* Whether a field of the body, both ends of which are here, is true. */
static int is_true(const char *text, const char *name) {
  for (const char *at = text; (at = strstr(at, name)); ) {
    at += strlen(name);
    at += strspn(at, " :");
    if (!strncmp(at, "true", 4)) return 1;
  }
  return 0;
}

static int answer(conn *c) {
  char *places[2] = {c->first_bytes, c->last_bytes};
  int stream = 0, usage = 0, pieces = 0, every = 0;
  c->first_bytes[c->first] = c->last_bytes[c->last] = 0;
  for (int i = 0; i < 2; i++) {
    stream |= is_true(places[i], "\"stream\"");
    usage |= is_true(places[i], "\"include_usage\"");
    char *model = strstr(places[i], "\"model\":");
    if (!model) continue;
    char *stop = strchr(model + 9 + strspn(model + 8, " \""), '"'), *dash = model;
    for (char *p = model; stop && p < stop; p++) if (*p == '-') dash = p;
    if (stop) sscanf(dash, "-%dx%dms", &pieces, &every);
  }
  c->have = c->first = c->last = 0;
  if (!stream || c->status != 200) return say_whole(c);
  c->next = 0, c->pieces = pieces ? pieces : 10, c->every_ms = every < WHEEL ? every : WHEEL - 1;
  c->usage = usage, c->streaming = 1;
  if (say_start(c)) return -1;
  if (!every) return burst(c);
  if (!waiting) wheel_at = micros() / 1000; /* it stood still */
  later(c, micros() / 1000 + c->every_ms);
  return 0;
}

static void keep(conn *c, const char *data, size_t n) {
  size_t room = EDGE - c->first, take = n < room ? n : room;
  memcpy(c->first_bytes + c->first, data, take);
  c->first += take;
  if (n >= EDGE) memcpy(c->last_bytes, data + n - EDGE, c->last = EDGE);
  else {
    size_t over = c->last + n > EDGE ? c->last + n - EDGE : 0;
    memmove(c->last_bytes, c->last_bytes + over, c->last - over);
    memcpy(c->last_bytes + c->last - over, data, n);
    c->last += n - over;
  }
}

static int body(conn *c, const char *data, size_t n) {
  size_t take = (long long)n < c->body_left ? n : (size_t)c->body_left;
  keep(c, data, take);
  c->body_left -= take;
  return c->body_left ? 0 : answer(c);
}

/* The answer's status as far as the head decides it. Leaves which half it is for in `c`. */
static int judge(conn *c) {
  char *path = strchr(c->head, ' '), *own;
  size_t n = strlen(key);
  path = path ? path + 1 : c->head;
  c->anthropic = !strncmp(path, "/v1/messages", 12) && strchr(" ?", path[12]);
  if (!c->anthropic && (strncmp(path, "/v1/chat/completions", 20) || !strchr(" ?", path[20]))) return 404;
  own = strcasestr(c->head, c->anthropic ? "\nx-api-key: " : "\nauthorization: bearer ");
  own = own ? strchr(own, ' ') + 1 : NULL;
  if (own && !c->anthropic) own = strchr(own, ' ') + 1;
  if (!own || strncmp(own, key, n) || (own[n] && own[n] != '\r')) return 401;
  return strcasestr(c->head, "\ntransfer-encoding:") ? 411 : 200;
}

static int read_head(conn *c) {
  c->head[c->have] = 0;
  char *blank = strstr(c->head, "\r\n\r\n");
  if (!blank) return c->have == HEAD ? -1 : 0;
  *blank = 0;
  char *length = strcasestr(c->head, "\ncontent-length:");
  c->status = judge(c);
  c->body_left = length ? atoll(length + 16) : 0;
  size_t used = blank + 4 - c->head, rest = c->have - used;
  return c->body_left ? (rest ? body(c, blank + 4, rest) : (c->have = 0, 0)) : answer(c);
}

static int readable(conn *c) {
  static char piece[1 << 20];
  for (;;) {
    int draining = c->body_left > 0;
    ssize_t n = draining ? recv(c->fd, piece, sizeof piece, 0) : recv(c->fd, c->head + c->have, HEAD - c->have, 0);
    if (n < 0) return errno == EAGAIN ? 0 : -1;
    if (n == 0) return -1;
    if (!draining) c->have += n;
    if (draining ? body(c, piece, n) : read_head(c)) return -1;
  }
}

static void turn_wheel(void) {
  if (!waiting) return;
  for (uint64_t now = micros() / 1000; wheel_at <= now; wheel_at++) {
    conn *c = wheel[wheel_at % WHEEL];
    wheel[wheel_at % WHEEL] = NULL;
    for (conn *after; c; c = after) {
      after = c->later;
      waiting--;
      if (c->fd < 0) { free(c); continue; }
      int bad = c->next < c->pieces ? say_piece(c) : 0;
      if (!bad && c->next < c->pieces) { later(c, wheel_at + c->every_ms); continue; }
      c->every_ms = 0;
      if (bad || say_finish(c)) end(c);
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 3) return fprintf(stderr, "usage: upstream PORT KEY\n"), 2;
  key = argv[2];
  signal(SIGPIPE, SIG_IGN);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (void *)&here, sizeof here) || listen(listener, 4096)) return perror("listen"), 1;
  poller = epoll_create1(0);
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}, found[512];
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
  wheel_at = micros() / 1000;
  for (;;) {
    int n = epoll_wait(poller, found, 512, waiting ? 1 : -1);
    for (int i = 0; i < n; i++) {
      conn *c = found[i].data.ptr;
      if (!c) {
        for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
          setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
          c = calloc(1, sizeof *c);
          c->fd = fd;
          e = (struct epoll_event){.events = EPOLLIN, .data.ptr = c};
          epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
        }
        continue;
      }
      int bad = 0;
      if (found[i].events & EPOLLOUT) bad = flush(c) || (c->streaming && !c->every_ms && !c->out_to && burst(c));
      if (!bad && found[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) bad = readable(c);
      if (bad) end(c);
    }
    turn_wheel();
  }
}
