/* A platform that answers at once: OpenAI chat completions and Anthropic messages, one thread, one epoll.
 *
 *   upstream PORT KEY
 *
 * The model's name says how it streams: `anything-100x50ms` is 100 pieces of text, one every 50 ms; `x0ms` sends them without
 * a pause. Every piece is a send of its own and reads `<number>@<microseconds of the monotonic clock> `, so that whoever
 * receives it can tell whether one is missing and how long it took. A wrong key is answered with 401.
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
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD = 16384, EDGE = 4096, WHEEL = 8192, PENDING = 65536 };

typedef struct conn {
  int fd, anthropic, authorised, streaming, wants_out, every_ms;
  int next, pieces;                    /* of a stream */
  long long body_left;                 /* of the request, while it is drained */
  size_t have, first, last, out_from, out_to;
  char head[HEAD + 1], first_bytes[EDGE + 1], last_bytes[EDGE + 1], out[PENDING];
  struct conn *later;                  /* in a slot of the wheel */
} conn;

static const char *key;
static int poller;
static conn *wheel[WHEEL];
static uint64_t wheel_at;

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

static int say_piece(conn *c) {
  char text[64], event[512];
  snprintf(text, sizeof text, "%d@%llu ", c->next++, (unsigned long long)micros());
  if (c->anthropic)
    snprintf(event, sizeof event,
             "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"%s\"}}\n\n", text);
  else
    snprintf(event, sizeof event, CHUNK "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n", text);
  return say_chunk(c, event);
}

static int say_start(conn *c) {
  static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
  if (say(c, head, sizeof head - 1)) return -1;
  if (!c->anthropic)
    return say_chunk(c, CHUNK "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n");
  return say_chunk(c, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"bench\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":100,\"output_tokens\":1}}}\n\n")
      || say_chunk(c, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n");
}

static int say_finish(conn *c) {
  int bad = c->anthropic
    ? say_chunk(c, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n")
      || say_chunk(c, "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"input_tokens\":100,\"output_tokens\":200}}\n\n")
      || say_chunk(c, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
    : say_chunk(c, CHUNK "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":null}\n\n")
      || say_chunk(c, CHUNK "\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":200,\"total_tokens\":300}}\n\n")
      || say_chunk(c, "data: [DONE]\n\n");
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
}

static int say_whole(conn *c) {
  static const char openai[] = "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"A gateway stands between those who ask and those who answer. It keeps the keys. End.\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":20,\"total_tokens\":120}}";
  static const char anthropic[] = "{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"bench\",\"content\":[{\"type\":\"text\",\"text\":\"A gateway stands between those who ask and those who answer. It keeps the keys. End.\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":100,\"output_tokens\":20}}";
  static const char refused[] = "{\"error\":{\"message\":\"wrong key\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"invalid_api_key\"}}";
  const char *body = !c->authorised ? refused : c->anthropic ? anthropic : openai;
  char whole[2048];
  int n = snprintf(whole, sizeof whole, "HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
                   c->authorised ? "200 OK" : "401 Unauthorized", strlen(body), body);
  return say(c, whole, n);
}

static int answer(conn *c) {
  char *places[2] = {c->first_bytes, c->last_bytes};
  int stream = 0, pieces = 0, every = 0;
  c->first_bytes[c->first] = c->last_bytes[c->last] = 0;
  for (int i = 0; i < 2; i++) {
    if (strstr(places[i], "\"stream\":true") || strstr(places[i], "\"stream\": true")) stream = 1;
    char *model = strstr(places[i], "\"model\":");
    if (!model) continue;
    char *stop = strchr(model + 9 + strspn(model + 8, " \""), '"'), *dash = model;
    for (char *p = model; stop && p < stop; p++) if (*p == '-') dash = p;
    if (stop) sscanf(dash, "-%dx%dms", &pieces, &every);
  }
  c->have = c->first = c->last = 0;
  if (!stream || !c->authorised) return say_whole(c);
  c->next = 0, c->pieces = pieces ? pieces : 10, c->every_ms = every, c->streaming = 1;
  if (say_start(c)) return -1;
  if (!every) return burst(c);
  later(c, micros() / 1000 + every);
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

static int read_head(conn *c) {
  c->head[c->have] = 0;
  char *blank = strstr(c->head, "\r\n\r\n");
  if (!blank) return c->have == HEAD ? -1 : 0;
  *blank = 0;
  char *length = strcasestr(c->head, "\ncontent-length:"), *path = strchr(c->head, ' ');
  char *bearer = strcasestr(c->head, "\nauthorization: bearer "), *own = strcasestr(c->head, "\nx-api-key: ");
  c->anthropic = path && !strncmp(path + 1, "/v1/messages", 12);
  c->authorised = (bearer && !strncmp(bearer + 23, key, strlen(key))) || (own && !strncmp(own + 12, key, strlen(key)));
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
  for (uint64_t now = micros() / 1000; wheel_at <= now; wheel_at++) {
    conn *c = wheel[wheel_at % WHEEL];
    wheel[wheel_at % WHEEL] = NULL;
    for (conn *after; c; c = after) {
      after = c->later;
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
  int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (void *)&here, sizeof here) || listen(listener, 4096)) return perror("listen"), 1;
  poller = epoll_create1(0);
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}, found[512];
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
  wheel_at = micros() / 1000;
  for (;;) {
    int n = epoll_wait(poller, found, 512, 1);
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
