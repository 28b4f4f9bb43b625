/* Calls a gateway from many connections at once, checks every answer to the last piece, and says how long it took.
 *
 *   load PORT PATH BODYFILE [-H 'Name: value']... [-c CONNECTIONS] [-s SECONDS | -n EACH] [-r RAMP_MS] [-p PIECES [-e]] [-g GRACE]
 *
 * What has not come GRACE seconds after the end of the load (120 unless told) is counted as unfinished.
 * Without -p an answer is a whole one: 200, and its text is ANSWER to the letter. With -p it is a stream of that many pieces in
 * order, each `<number>@<microseconds> `, however they were merged on the way, and then a reason to finish and the end mark, as
 * OpenAI or as Anthropic says it; with -e the mark may be missing. Prints one JSON object in microseconds: latency is request
 * to end, first_piece is request to first text, and the delay of a piece is the platform's send to its arrival here.
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER "A gateway stands between those who ask and those who answer. It keeps the keys. End." /* what upstream.c says */
enum { BUFFER = 1 << 17 };
typedef struct { uint32_t *at; size_t n, room; } samples;
typedef struct {
  int fd, status, chunked, closes, in_head, finished, done;
  long long left;                      /* of the body, or of the chunk */
  size_t sent, have, line;
  int next, asked;
  uint64_t began, due;
  char in[BUFFER + 1], text[BUFFER + 1];
} conn;

static struct sockaddr_in there;
static char *request;
static size_t request_size;
static int poller, pieces = 0, each = 0, unmarked = 0;
static uint64_t stop_at;
static samples latency, first_piece, delay;
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
  if (c->fd < 0) { perror("socket"); exit(2); }
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  connect(c->fd, (void *)&there, sizeof there);
  watch(c, EPOLL_CTL_ADD, 1);
}

static void begin(conn *c) {
  if (c->fd < 0) dial(c);
  c->sent = c->have = c->line = 0;
  c->status = c->chunked = c->closes = c->finished = c->done = c->next = 0;
  c->in_head = 1, c->left = -1;
  c->began = micros();
  watch(c, EPOLL_CTL_MOD, 1);
}

static void next_call(conn *c, int anew) {
  c->asked++;
  int is_last = each ? c->asked >= each : micros() >= stop_at;
  if (is_last || anew) { close(c->fd); c->fd = -1; }
  if (is_last) { alive--; return; }
  reconnected += anew;
  begin(c);
}

static void note_error(conn *c, const char *why) {
  if (!*first_error) snprintf(first_error, sizeof first_error, "%s (status %d, piece %d)", why, c->status, c->next);
}

static void fail(conn *c, const char *why) {
  bad++;
  note_error(c, why);
  next_call(c, 1);
}

/* Where the string begins that is the value of `name`. */
static char *value(char *text, const char *name) {
  char *at = strstr(text, name);
  if (!at) return NULL;
  at += strlen(name);
  at += strspn(at, " ");
  return *at == '"' ? at + 1 : NULL;
}

static int is_answer(conn *c) {
  char *text;
  c->text[c->line] = 0;
  if (!(text = value(c->text, "\"content\":")) && !(text = value(c->text, "\"text\":"))) return 0;
  return !strncmp(text, ANSWER "\"", sizeof ANSWER);
}

static void over(conn *c) {
  if (!pieces) c->finished = is_answer(c);
  int right = c->status == 200 && (pieces ? c->next == pieces && c->finished && (c->done || unmarked) : c->finished);
  if (!right) { fail(c, pieces ? "the stream is not complete" : "the answer is not the expected one"); return; }
  good++;
  note(&latency, micros() - c->began);
  next_call(c, c->closes);
}

/* One line of a stream. */
static void stream_line(conn *c, char *line, uint64_t now) {
  if (strncmp(line, "data: ", 6)) return;
  char *reason, *text;
  if (!strncmp(line + 6, "[DONE]", 6) || strstr(line, "\"message_stop\"")) { c->done = 1; return; }
  if ((reason = value(line, "\"finish_reason\":")) && !strncmp(reason, "stop\"", 5)) c->finished = 1;
  if ((reason = value(line, "\"stop_reason\":")) && !strncmp(reason, "end_turn\"", 9)) c->finished = 1;
  if (!(text = value(line, "\"content\":")) && !(text = value(line, "\"text\":"))) return;
  while (*text && *text != '"') {
    char *end;
    long number = strtol(text, &end, 10);
    if (*end != '@' || number != c->next) { c->next = -1; return; }
    if (!c->next) note(&first_piece, now - c->began);
    note(&delay, now - strtoull(end + 1, &end, 10));
    c->next++;
    text = end + (*end == ' ');
  }
}

static void take_text(conn *c, const char *data, size_t n, uint64_t now) {
  for (size_t i = 0; i < n; i++) {
    if (data[i] != '\n' || !pieces) { if (c->line < BUFFER) c->text[c->line++] = data[i]; continue; }
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
  c->closes = strcasestr(c->in, "\nconnection: close") != NULL;
  c->chunked = strcasestr(c->in, "\ntransfer-encoding: chunked") != NULL;
  c->left = c->chunked ? 0 : length ? atoll(length + 16) : 0;
  c->in_head = 0;
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
  if (s->n) qsort(s->at, s->n, sizeof *s->at, by_value);
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
  double seconds = 1, grace = 120;
  char *headers[16];
  if (argc < 4) return fprintf(stderr, "usage: load PORT PATH BODYFILE [options]\n"), 2;
  for (optind = 4; (option = getopt(argc, argv, "H:c:s:n:r:p:eg:")) > 0;)
    switch (option) {
      case 'H': if (count < 16) headers[count++] = optarg; break;
      case 'c': connections = atoi(optarg); break;
      case 's': seconds = atof(optarg); break;
      case 'n': each = atoi(optarg); break;
      case 'r': ramp = atoi(optarg); break;
      case 'p': pieces = atoi(optarg); break;
      case 'e': unmarked = 1; break;
      case 'g': grace = atof(optarg); break;
      default: return 2;
    }
  there = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  build(argv[2], argv[3], headers, count);
  poller = epoll_create1(0);
  conn *all = calloc(connections, sizeof *all);
  uint64_t start = micros();
  stop_at = start + seconds * 1e6;
  uint64_t give_up = (each ? start : stop_at) + (uint64_t)(grace * 1e6);
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
  for (int i = 0; i < dialled; i++)
    if (all[i].fd >= 0) note_error(&all[i], "no whole answer by the end");
  printf("{\"good\":%ld,\"bad\":%ld,\"unfinished\":%ld,\"reconnected\":%ld,\"seconds\":%.3f,\"pieces\":%zu,\"first_error\":\"%s\"",
         good, bad, alive, reconnected, took, delay.n, first_error);
  print("latency", &latency);
  print("first_piece", &first_piece);
  print("delay", &delay);
  puts("}");
  return 0;
}
