/* Calls a gateway from many connections at once, checks every answer to the last piece, and says how long it took.
 *
 *   load PORT PATH BODYFILE [-H 'Name: value']... [-c CONNECTIONS] [-s SECONDS | -n EACH] [-r RAMP_MS] [-p PIECES]
 *
 * Without -p an answer is a whole one and must be 200 with "End." in it. With -p it is a stream of that many pieces in order, each
 * `<number>@<microseconds> `, however they were merged on the way, and then a finish reason and `[DONE]`. Prints one JSON object;
 * the delay of a piece is the time from the platform's send to its arrival here.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 17 };
typedef struct { uint32_t *at; size_t n, room; } samples;
typedef struct {
  int fd, status, chunked, in_head, finished, done, started;
  long long left;                      /* of the body, or of the chunk */
  size_t sent, have, line;
  int next, asked;
  uint64_t began, due;
  char in[BUFFER + 1], text[BUFFER + 1];
} conn;

static struct sockaddr_in there;
static char *request;
static size_t request_size;
static int poller, pieces = 0, each = 0;
static uint64_t stop_at;
static samples latency, first_byte, delay;
static long good, bad, reconnected, alive;
static char first_error[256];

static uint64_t micros(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}

static void note(samples *s, uint64_t value) {
  if (s->n == s->room) s->at = realloc(s->at, sizeof *s->at * (s->room = s->room ? 2 * s->room : 1 << 16));
  s->at[s->n++] = value > UINT32_MAX ? UINT32_MAX : value;
}

static void watch(conn *c, int op, int out) {
  struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c};
  epoll_ctl(poller, op, c->fd, &e);
}

static void dial(conn *c) {
  int one = 1;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  connect(c->fd, (void *)&there, sizeof there);
  watch(c, EPOLL_CTL_ADD, 1);
}

static void begin(conn *c) {
  c->sent = c->have = c->line = 0;
  c->status = c->chunked = c->finished = c->done = c->next = 0;
  c->in_head = 1, c->left = -1;
  c->began = micros();
  c->started = 1;
  watch(c, EPOLL_CTL_MOD, 1);
}

static void next_call(conn *c) {
  c->asked++;
  if (each ? c->asked >= each : micros() >= stop_at) {
    close(c->fd);
    c->fd = -1;
    alive--;
  } else begin(c);
}

static void fail(conn *c, const char *why) {
  bad++;
  if (!*first_error) snprintf(first_error, sizeof first_error, "%s (status %d, piece %d)", why, c->status, c->next);
  close(c->fd);
  c->asked++;
  if (each ? c->asked >= each : micros() >= stop_at) { c->fd = -1; alive--; return; }
  reconnected++;
  dial(c);
  begin(c);
}

static void over(conn *c) {
  int right = c->status == 200 && (pieces ? c->next == pieces && c->finished && c->done : c->finished);
  if (!right) { fail(c, pieces ? "the stream is not complete" : "the answer is not the expected one"); return; }
  good++;
  note(&latency, micros() - c->began);
  next_call(c);
}

/* One line of a stream. */
static void stream_line(conn *c, char *line, uint64_t now) {
  if (strncmp(line, "data: ", 6)) return;
  if (!strncmp(line + 6, "[DONE]", 6)) { c->done = 1; return; }
  if (strstr(line, "\"finish_reason\":\"stop\"")) c->finished = 1;
  char *text = strstr(line, "\"content\":\"");
  if (!text) return;
  for (text += 11; *text && *text != '"';) {
    char *end;
    long number = strtol(text, &end, 10);
    if (*end != '@' || number != c->next) { c->next = -1; return; }
    note(&delay, now - strtoull(end + 1, &end, 10));
    c->next++;
    text = end + (*end == ' ');
  }
}

static void take_text(conn *c, const char *data, size_t n, uint64_t now) {
  if (!pieces) {
    if (memmem(data, n, "End.", 4)) c->finished = 1;
    return;
  }
  for (size_t i = 0; i < n; i++) {
    if (data[i] != '\n') { if (c->line < BUFFER) c->text[c->line++] = data[i]; continue; }
    c->text[c->line] = 0;
    if (c->line) stream_line(c, c->text, now);
    c->line = 0;
  }
}

/* Reads the head, if all of it is there; how many bytes it took. */
static size_t take_head(conn *c) {
  c->in[c->have] = 0;
  char *blank = strstr(c->in, "\r\n\r\n");
  if (!blank) return 0;
  *blank = 0;
  c->status = atoi(c->in + 9);
  char *length = strcasestr(c->in, "\ncontent-length:");
  c->chunked = strcasestr(c->in, "\ntransfer-encoding: chunked") != NULL;
  c->left = c->chunked ? 0 : length ? atoll(length + 16) : 0;
  c->in_head = 0;
  note(&first_byte, micros() - c->began);
  return blank + 4 - c->in;
}

/* Whether the answer is complete. Consumes what it can of `in`. */
static int take(conn *c, uint64_t now) {
  size_t at = 0;
  int complete = 0;
  if (c->in_head) {
    if (!(at = take_head(c))) return 0;
    if (!c->chunked && c->left == 0) complete = 1;
  }
  while (!complete && at < c->have) {
    if (c->left > 0) {
      size_t n = c->have - at < (size_t)c->left ? c->have - at : (size_t)c->left;
      take_text(c, c->in + at, n, now);
      at += n, c->left -= n;
      if (!c->left && !c->chunked) complete = 1;
      continue;
    }
    if (c->have - at >= 2 && c->in[at] == '\r') { at += 2; continue; }
    char *end = memmem(c->in + at, c->have - at, "\r\n", 2);
    if (!end) break;
    c->left = strtoll(c->in + at, NULL, 16);
    if (!c->left) {
      if ((size_t)(end + 4 - c->in) > c->have) { c->left = 0; break; }
      at = end + 4 - c->in, complete = 1;
    } else at = end + 2 - c->in;
  }
  memmove(c->in, c->in + at, c->have -= at);
  return complete;
}

static void work(conn *c, uint32_t events) {
  if (events & EPOLLOUT && c->sent < request_size) {
    ssize_t n = send(c->fd, request + c->sent, request_size - c->sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) { fail(c, "cannot send"); return; }
    if (n > 0) c->sent += n;
    if (c->sent == request_size) watch(c, EPOLL_CTL_MOD, 0);
  }
  if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
  ssize_t n = recv(c->fd, c->in + c->have, BUFFER - c->have, 0);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) { fail(c, "the connection broke"); return; }
  c->have += n;
  if (take(c, micros())) over(c);
  else if (c->have == BUFFER) fail(c, "a line is too long");
}

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static void print(const char *name, samples *s) {
  qsort(s->at, s->n, sizeof *s->at, by_value);
  size_t last = s->n ? s->n - 1 : 0;
  uint32_t nothing = 0, *at = s->n ? s->at : &nothing;
  printf(",\"%s\":{\"p50\":%u,\"p99\":%u,\"max\":%u}", name, at[last / 2], at[(size_t)(last * .99)], at[last]);
}

static void build(const char *path, const char *file, char **headers, int count) {
  FILE *f = fopen(file, "rb");
  if (!f) { perror(file); exit(2); }
  fseek(f, 0, SEEK_END);
  size_t size = ftell(f), at = 0;
  rewind(f);
  request = malloc(size + 8192);
  at += sprintf(request, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n", path, size);
  for (int i = 0; i < count; i++) at += sprintf(request + at, "%s\r\n", headers[i]);
  at += sprintf(request + at, "\r\n");
  if (fread(request + at, 1, size, f) != size) exit(2);
  request_size = at + size;
  fclose(f);
}

int main(int argc, char **argv) {
  int connections = 1, ramp = 0, option, count = 0;
  double seconds = 1;
  char *headers[16];
  if (argc < 4) return fprintf(stderr, "usage: load PORT PATH BODYFILE [options]\n"), 2;
  for (optind = 4; (option = getopt(argc, argv, "H:c:s:n:r:p:")) > 0;)
    switch (option) {
      case 'H': if (count < 16) headers[count++] = optarg; break;
      case 'c': connections = atoi(optarg); break;
      case 's': seconds = atof(optarg); break;
      case 'n': each = atoi(optarg); break;
      case 'r': ramp = atoi(optarg); break;
      case 'p': pieces = atoi(optarg); break;
      default: return 2;
    }
  there = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  build(argv[2], argv[3], headers, count);
  poller = epoll_create1(0);
  conn *all = calloc(connections, sizeof *all);
  uint64_t start = micros();
  stop_at = start + seconds * 1e6;
  uint64_t give_up = (each ? start : stop_at) + 120000000;
  alive = connections;
  int dialled = 0;
  struct epoll_event found[512];
  while (alive && micros() < give_up) {
    uint64_t now = micros();
    for (; dialled < connections && now >= start + (uint64_t)ramp * 1000 * dialled / connections; dialled++) {
      dial(&all[dialled]);
      begin(&all[dialled]);
    }
    int n = epoll_wait(poller, found, 512, dialled < connections ? 1 : 50);
    for (int i = 0; i < n; i++) {
      conn *c = found[i].data.ptr;
      if (c->fd >= 0) work(c, found[i].events);
    }
  }
  double took = (micros() - start) / 1e6;
  printf("{\"good\":%ld,\"bad\":%ld,\"unfinished\":%ld,\"reconnected\":%ld,\"seconds\":%.3f,\"pieces\":%zu,\"first_error\":\"%s\"",
         good, bad, alive, reconnected, took, delay.n, first_error);
  print("latency", &latency);
  print("first_byte", &first_byte);
  print("delay", &delay);
  puts("}");
  return 0;
}
