/*
 * The floor: what fanning out costs when a server does nothing but the system calls. Keeps no log; every stream gets every
 * event, in the bytes the hub would send.
 *
 *   floor PORT          an event is sent as it comes, one send(2) for each stream; then its publisher is answered
 *   floor PORT --tick   what comes in one turn of the loop is one chunk. At the end of the turn its publishers are answered,
 *                       then the chunk is sent, one send(2) for each stream. In this order publishers have sent their next
 *                       events by the next turn; the other way round turns are half as large and cost twice as much
 *   floor PORT --topics as the first, but a stream gets the events of the topic in its URL only
 *
 * One thread, one level-triggered epoll. It never blocks: what a socket does not take waits in a buffer of the stream, and a
 * stream for which more than MAX_UNSENT bytes would wait is dropped. `GET /stats` has the counts; `sends` are calls of send(2).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  BACKLOG = 4096,
  EVENTS_PER_TURN = 1024,
  READ_SIZE = 256 * 1024,
  MAX_HEAD = 16 * 1024,
  MAX_BODY = 4 * 1024 * 1024,
  MAX_UNSENT = 4 * 1024 * 1024,
  EPOCH_LENGTH = 10,
  /* The longest chunk size in hexadecimal, and its line end. */
  CHUNK_HEAD = 18,
  /* Lists of streams, by topic. */
  TOPIC_LISTS = 65536,
};

typedef struct {
  char *bytes;
  size_t length, capacity;
} Buffer;

typedef struct Connection {
  int fd;
  /* A descriptor is reused at once: tells the events of its former connection, of the same epoll_wait, apart. */
  uint32_t generation;
  /* Its place in `streams`, or -1. */
  int place;
  /* Epoll is asked for EPOLLOUT. */
  bool waits_for_room;
  /* The last request asked for it. */
  bool close_when_sent;
  /* In `answered`. */
  bool has_answer;
  Buffer received, unsent;
  /* Of its stream: the hash of its topic, and its neighbours in the list of such streams. */
  uint64_t topic;
  struct Connection *next, **link;
} Connection;

static struct {
  uint64_t events, sends, dropped;
} counts;

static bool once_per_turn, has_topics;
static int epoll_fd, listener;
static uint32_t generations;
static char epoch[EPOCH_LENGTH + 1];
static char date[64];
static char read_buffer[READ_SIZE];

/* By descriptor. */
static Connection **connections;
static size_t connection_capacity;
static Connection **streams;
static int stream_count, stream_capacity;
static Connection *topics[TOPIC_LISTS];
/* The turn's publishers, in tick mode; by descriptor and generation, because one may go within the turn. */
static uint64_t *answered;
static int answered_count, answered_capacity;
/* The chunk to send, with room for its size in front. */
static Buffer frame;

static void *must(void *memory) {
  if (memory == NULL) {
    perror("floor: memory");
    exit(1);
  }
  return memory;
}

static void fail(const char *what) {
  fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
  exit(1);
}

static char *reserve(Buffer *buffer, size_t more) {
  if (buffer->length + more > buffer->capacity) {
    size_t capacity = buffer->capacity == 0 ? 256 : buffer->capacity;
    while (capacity < buffer->length + more) capacity *= 2;
    buffer->bytes = must(realloc(buffer->bytes, capacity));
    buffer->capacity = capacity;
  }
  return buffer->bytes + buffer->length;
}

static void append(Buffer *buffer, const char *bytes, size_t length) {
  memcpy(reserve(buffer, length), bytes, length);
  buffer->length += length;
}

static void release(Buffer *buffer) {
  free(buffer->bytes);
  *buffer = (Buffer){0};
}

static uint64_t key_of(const Connection *connection) {
  return (uint64_t)connection->generation << 32 | (uint32_t)connection->fd;
}

static Connection *find(uint64_t key) {
  size_t fd = (uint32_t)key;
  if (fd >= connection_capacity || connections[fd] == NULL) return NULL;
  return connections[fd]->generation == key >> 32 ? connections[fd] : NULL;
}

static void watch(Connection *connection, int operation) {
  struct epoll_event event = {
    .events = EPOLLIN | (connection->waits_for_room ? EPOLLOUT : 0),
    .data.u64 = key_of(connection),
  };
  if (epoll_ctl(epoll_fd, operation, connection->fd, &event) < 0) fail("epoll_ctl");
}

static void close_connection(Connection *connection) {
  if (connection->place >= 0) {
    Connection *moved = streams[--stream_count];
    streams[connection->place] = moved;
    moved->place = connection->place;
    if (has_topics) {
      *connection->link = connection->next;
      if (connection->next != NULL) connection->next->link = connection->link;
    }
  }
  connections[connection->fd] = NULL;
  close(connection->fd);
  release(&connection->received);
  release(&connection->unsent);
  free(connection);
}

/* Sends, and keeps what the socket does not take. False when the connection was closed. */
static bool send_bytes(Connection *connection, const char *bytes, size_t length) {
  ssize_t sent = 0;
  if (connection->unsent.length == 0) {
    counts.sends++;
    sent = send(connection->fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent == (ssize_t)length) return true;
    if (sent < 0) {
      if (errno != EAGAIN && errno != EINTR) {
        close_connection(connection);
        return false;
      }
      sent = 0;
    }
  }
  if (connection->unsent.length + length - sent > MAX_UNSENT) {
    counts.dropped++;
    close_connection(connection);
    return false;
  }
  append(&connection->unsent, bytes + sent, length - sent);
  if (!connection->waits_for_room) {
    connection->waits_for_room = true;
    watch(connection, EPOLL_CTL_MOD);
  }
  return true;
}

/* Sends what waits, or as much as the socket takes. False when the connection was closed. */
static bool flush(Connection *connection) {
  Buffer *unsent = &connection->unsent;
  counts.sends++;
  ssize_t sent = send(connection->fd, unsent->bytes, unsent->length, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) {
    close_connection(connection);
    return false;
  }
  if (sent > 0) {
    unsent->length -= sent;
    memmove(unsent->bytes, unsent->bytes + sent, unsent->length);
  }
  bool waits = unsent->length > 0;
  if (!waits) {
    release(unsent);
    if (connection->close_when_sent) {
      close_connection(connection);
      return false;
    }
  }
  if (connection->waits_for_room != waits) {
    connection->waits_for_room = waits;
    watch(connection, EPOLL_CTL_MOD);
  }
  return true;
}

/* A hash (FNV-1a) of the topic in a request's URL: what differs by 2^-64 at random may be one. */
static uint64_t topic_of(const char *request) {
  uint64_t hash = 14695981039346656037u;
  const char *at = strstr(request, "topic=");
  for (at = at == NULL ? "" : at + 6; *at > ' ' && *at != '&'; at++) hash = (hash ^ (unsigned char)*at) * 1099511628211u;
  return hash;
}

/* Sends the frame as one chunk to every stream, or to those of the topic. */
static void fan_out(uint64_t topic) {
  size_t body = frame.length - CHUNK_HEAD;
  if (body == 0) return;
  char size[CHUNK_HEAD + 1];
  int digits = snprintf(size, sizeof size, "%zx\r\n", body);
  append(&frame, "\r\n", 2);
  char *start = frame.bytes + CHUNK_HEAD - digits;
  memcpy(start, size, digits);
  size_t length = digits + body + 2;
  if (has_topics) {
    Connection *next;
    for (Connection *each = topics[topic % TOPIC_LISTS]; each != NULL; each = next) {
      next = each->next;
      if (each->topic == topic) send_bytes(each, start, length);
    }
  }
  /* Backwards: a stream that is dropped is replaced by one that had its turn. */
  else for (int at = stream_count - 1; at >= 0; at--) send_bytes(streams[at], start, length);
  frame.length = CHUNK_HEAD;
}

/* Answers a publisher: now, or at the end of the turn. False when the connection was closed. */
static bool answer(Connection *connection, const char *status, const char *body) {
  char text[512];
  int length = snprintf(text, sizeof text,
                        "HTTP/1.1 %s\r\nContent-Type: application/json\r\nDate: %s\r\nContent-Length: %zu\r\n\r\n%s",
                        status, date, strlen(body), body);
  if (!once_per_turn) return send_bytes(connection, text, length);
  if (connection->unsent.length + length > MAX_UNSENT) {
    counts.dropped++;
    close_connection(connection);
    return false;
  }
  append(&connection->unsent, text, length);
  if (!connection->has_answer) {
    connection->has_answer = true;
    if (answered_count == answered_capacity) {
      answered_capacity = answered_capacity == 0 ? 256 : answered_capacity * 2;
      answered = must(realloc(answered, answered_capacity * sizeof *answered));
    }
    answered[answered_count++] = key_of(connection);
  }
  return true;
}

static bool publish(Connection *connection, uint64_t topic, const char *data, size_t length) {
  if (memchr(data, '\n', length) != NULL || memchr(data, '\r', length) != NULL)
    return answer(connection, "400 Bad Request", "{\"detail\":\"the data must be one line\"}");
  char id[64];
  int id_length = snprintf(id, sizeof id, "%s-%llu", epoch, (unsigned long long)++counts.events);
  append(&frame, "id: ", 4);
  append(&frame, id, id_length);
  append(&frame, "\ndata: ", 7);
  append(&frame, data, length);
  append(&frame, "\n\n", 2);
  if (!once_per_turn) fan_out(topic);
  char body[96];
  snprintf(body, sizeof body, "{\"id\":\"%s\"}", id);
  return answer(connection, "200 OK", body);
}

/* The response head of the hub, and a first event like its own. */
static bool open_stream(Connection *connection, uint64_t topic) {
  char event[160], text[640];
  int event_length = snprintf(event, sizeof event,
                              "event: sse:ready\nretry: 2000\nid: %s-%llu\ndata: {\"resume\":\"fresh\",\"replayed\":0}\n\n",
                              epoch, (unsigned long long)counts.events);
  int length = snprintf(text, sizeof text,
                        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                        "Cache-Control: no-cache, no-transform\r\nConnection: close\r\nx-accel-buffering: no\r\n"
                        "Date: %s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n",
                        date, event_length, event);
  if (!send_bytes(connection, text, length)) return false;
  if (stream_count == stream_capacity) {
    stream_capacity = stream_capacity == 0 ? 1024 : stream_capacity * 2;
    streams = must(realloc(streams, stream_capacity * sizeof *streams));
  }
  connection->place = stream_count;
  streams[stream_count++] = connection;
  if (has_topics) {
    connection->topic = topic;
    connection->link = &topics[topic % TOPIC_LISTS];
    connection->next = *connection->link;
    if (connection->next != NULL) connection->next->link = &connection->next;
    *connection->link = connection;
  }
  return true;
}

static bool answer_stats(Connection *connection) {
  char body[192];
  snprintf(body, sizeof body, "{\"streams\":%d,\"events\":%llu,\"sends\":%llu,\"dropped\":%llu}", stream_count,
           (unsigned long long)counts.events, (unsigned long long)counts.sends, (unsigned long long)counts.dropped);
  return answer(connection, "200 OK", body);
}

/* The value of a header, or NULL. The head is NUL-terminated, and `name` has the line end before it and the colon. */
static const char *header(const char *head, const char *name) {
  const char *found = strcasestr(head, name);
  if (found == NULL) return NULL;
  found += strlen(name);
  return found + strspn(found, " \t");
}

static bool refuse(Connection *connection, const char *status) {
  connection->close_when_sent = true;
  return answer(connection, status, "{}");
}

/*
 * Handles the first request of the bytes. Answers how long it was, 0 when it is not complete, -1 when the connection was
 * closed. The bytes are followed by one that may be written.
 */
static ssize_t handle_request(Connection *connection, char *bytes, size_t length) {
  char *end = memmem(bytes, length, "\r\n\r\n", 4);
  if (end == NULL) {
    if (length <= MAX_HEAD) return 0;
    return refuse(connection, "431 Request Header Fields Too Large") ? (ssize_t)length : -1;
  }
  size_t head_length = end + 4 - bytes;
  char kept = end[2];
  end[2] = '\0';
  const char *length_header = header(bytes, "\r\ncontent-length:");
  unsigned long body_length = length_header == NULL ? 0 : strtoul(length_header, NULL, 10);
  const char *connection_header = header(bytes, "\r\nconnection:");
  bool closes = connection_header != NULL && strncasecmp(connection_header, "close", 5) == 0;
  bool is_chunked = header(bytes, "\r\ntransfer-encoding:") != NULL;
  uint64_t topic = has_topics ? topic_of(bytes) : 0;
  end[2] = kept;
  if (is_chunked) return refuse(connection, "411 Length Required") ? (ssize_t)length : -1;
  if (body_length > MAX_BODY) return refuse(connection, "413 Content Too Large") ? (ssize_t)length : -1;
  if (length < head_length + body_length) return 0;

  bool open;
  if (strncmp(bytes, "GET /events", 11) == 0) {
    open = open_stream(connection, topic);
  } else {
    if (closes) connection->close_when_sent = true;
    if (strncmp(bytes, "POST /publish", 13) == 0) open = publish(connection, topic, bytes + head_length, body_length);
    else if (strncmp(bytes, "GET /stats", 10) == 0) open = answer_stats(connection);
    else open = answer(connection, "404 Not Found", "{}");
  }
  return open ? (ssize_t)(head_length + body_length) : -1;
}

static bool is_done(const Connection *connection) {
  return connection->close_when_sent && !connection->has_answer && connection->unsent.length == 0;
}

static void receive(Connection *connection) {
  ssize_t got = recv(connection->fd, read_buffer, READ_SIZE - 1, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    close_connection(connection);
    return;
  }
  char *bytes = read_buffer;
  size_t length = got;
  Buffer *received = &connection->received;
  if (received->length > 0) {
    append(received, read_buffer, got);
    reserve(received, 1);
    bytes = received->bytes;
    length = received->length;
  }
  size_t used = 0;
  /* What comes on a stream is not read as a request. */
  while (used < length && connection->place < 0 && !connection->close_when_sent) {
    ssize_t request = handle_request(connection, bytes + used, length - used);
    if (request < 0) return;
    if (request == 0) break;
    used += request;
  }
  if (is_done(connection)) {
    close_connection(connection);
  } else if (connection->place >= 0 || connection->close_when_sent || used == length) {
    release(received);
  } else if (received->length > 0) {
    received->length -= used;
    memmove(received->bytes, received->bytes + used, received->length);
  } else {
    append(received, bytes + used, length - used);
  }
}

static void accept_all(void) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno != EAGAIN) fail("accept4");
      return;
    }
    if ((size_t)fd >= connection_capacity) {
      size_t capacity = connection_capacity == 0 ? 1024 : connection_capacity;
      while (capacity <= (size_t)fd) capacity *= 2;
      connections = must(realloc(connections, capacity * sizeof *connections));
      memset(connections + connection_capacity, 0, (capacity - connection_capacity) * sizeof *connections);
      connection_capacity = capacity;
    }
    Connection *connection = must(calloc(1, sizeof *connection));
    connection->fd = fd;
    connection->generation = ++generations;
    connection->place = -1;
    connections[fd] = connection;
    watch(connection, EPOLL_CTL_ADD);
  }
}

static void end_turn(void) {
  for (int at = 0; at < answered_count; at++) {
    Connection *connection = find(answered[at]);
    if (connection == NULL) continue;
    connection->has_answer = false;
    if (!connection->waits_for_room) flush(connection);
  }
  answered_count = 0;
  fan_out(0);
}

static void read_date(void) {
  time_t now = time(NULL);
  struct tm utc;
  strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &utc));
}

static void listen_on(int port) {
  listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listener < 0) fail("socket");
  int yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  /* Accepted sockets inherit it. */
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  struct sockaddr_in address = {
    .sin_family = AF_INET,
    .sin_port = htons(port),
    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
  };
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
  if (listen(listener, BACKLOG) < 0) fail("listen");
}

static void make_epoch(void) {
  unsigned char random[EPOCH_LENGTH];
  if (getrandom(random, sizeof random, 0) != sizeof random) fail("getrandom");
  for (int at = 0; at < EPOCH_LENGTH; at++) epoch[at] = "0123456789abcdefghijklmnopqrstuvwxyz"[random[at] % 36];
}

int main(int argc, char **argv) {
  int port = argc > 1 ? atoi(argv[1]) : 0;
  once_per_turn = argc > 2 && strcmp(argv[2], "--tick") == 0;
  has_topics = argc > 2 && strcmp(argv[2], "--topics") == 0;
  if (port <= 0 || port > 65535 || argc > 3 || (argc == 3 && !once_per_turn && !has_topics)) {
    fprintf(stderr, "usage: floor PORT [--tick | --topics]\n");
    return 2;
  }
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  make_epoch();
  reserve(&frame, CHUNK_HEAD);
  frame.length = CHUNK_HEAD;
  listen_on(port);
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) fail("epoll_create1");
  struct epoll_event accepting = { .events = EPOLLIN, .data.u64 = (uint32_t)listener };
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &accepting) < 0) fail("epoll_ctl");

  static struct epoll_event events[EVENTS_PER_TURN];
  for (;;) {
    int count = epoll_wait(epoll_fd, events, EVENTS_PER_TURN, -1);
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    read_date();
    for (int at = 0; at < count; at++) {
      if (events[at].data.u64 == (uint32_t)listener) {
        accept_all();
        continue;
      }
      Connection *connection = find(events[at].data.u64);
      if (connection == NULL) continue;
      if (events[at].events & EPOLLOUT && !flush(connection)) continue;
      if (events[at].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(connection);
    }
    if (once_per_turn) end_turn();
  }
}
