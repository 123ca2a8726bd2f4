#include "peer.h"

#include <linux/netlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>

namespace {

// Travels in front of every datagram, for recvmsg() to act on.
struct Envelope {
  int32_t error;
  uint32_t port;
};

struct State {
  std::mutex lock;
  peer::Script script;
  std::function<void(int)> prepare;  // set: the peer stands aside
  std::map<int, int> peers;          // by the descriptor that the core has
  size_t opened = 0;
};

State& state() {
  static State only;
  return only;
}

void Deliver(int descriptor, const peer::Reply& reply) {
  Envelope envelope{reply.error, reply.port};
  iovec parts[] = {{&envelope, sizeof envelope},
                   {const_cast<uint8_t*>(reply.bytes.data()),  // NOLINT: iovec has no const
                    reply.bytes.size()}};
  msghdr header{};
  header.msg_iov = parts;
  header.msg_iovlen = std::size(parts);
  // What does not fit is lost, and a test that needs it fails.
  if (sendmsg(descriptor, &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) std::abort();
}

}  // namespace

namespace peer {

void Play(Script script) {
  const std::lock_guard<std::mutex> guard(state().lock);
  state().script = std::move(script);
  state().prepare = nullptr;
  state().opened = 0;
}

void StepAside(std::function<void(int descriptor)> prepare) {
  const std::lock_guard<std::mutex> guard(state().lock);
  state().prepare = std::move(prepare);
}

size_t Opened() { return state().opened; }
size_t Open() { return state().peers.size(); }

}  // namespace peer

extern "C" {

int __real_socket(int domain, int type, int protocol);
int __real_close(int descriptor);
int __real_ioctl(int descriptor, unsigned long request, void* argument);
int __real_bind(int descriptor, const sockaddr* address, socklen_t size);
ssize_t __real_sendto(int descriptor, const void* bytes, size_t size, int flags,
                      const sockaddr* address, socklen_t address_size);
ssize_t __real_recvmsg(int descriptor, msghdr* header, int flags);

int __wrap_socket(int domain, int type, int protocol) {
  const std::lock_guard<std::mutex> guard(state().lock);
  if (state().prepare) return __real_socket(domain, type, protocol);
  errno = state().script.open(domain);
  if (errno != 0) return -1;
  int ends[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) return -1;
  const int room = 8 << 20;
  setsockopt(ends[1], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
  state().peers[ends[0]] = ends[1];
  ++state().opened;
  return ends[0];
}

int __wrap_close(int descriptor) {
  const std::lock_guard<std::mutex> guard(state().lock);
  const auto found = state().peers.find(descriptor);
  if (found != state().peers.end()) {
    __real_close(found->second);
    state().peers.erase(found);
  }
  return __real_close(descriptor);
}

int __wrap_ioctl(int descriptor, unsigned long request, void* argument) {
  const std::lock_guard<std::mutex> guard(state().lock);
  if (state().peers.count(descriptor) == 0) return __real_ioctl(descriptor, request, argument);
  if (request == SIOCGIFFLAGS) {
    state().script.look_for_device(static_cast<const ifreq*>(argument)->ifr_name);
  }
  errno = ENODEV;
  return -1;
}

int __wrap_bind(int descriptor, const sockaddr* address, socklen_t size) {
  const std::lock_guard<std::mutex> guard(state().lock);
  if (state().peers.count(descriptor) != 0) return 0;
  if (state().prepare) state().prepare(descriptor);
  return __real_bind(descriptor, address, size);
}

ssize_t __wrap_sendto(int descriptor, const void* bytes, size_t size, int flags,
                      const sockaddr* address, socklen_t address_size) {
  const std::lock_guard<std::mutex> guard(state().lock);
  const auto found = state().peers.find(descriptor);
  if (found == state().peers.end()) {
    return __real_sendto(descriptor, bytes, size, flags, address, address_size);
  }
  const netlink::Bytes sent{static_cast<const uint8_t*>(bytes), size};
  std::vector<peer::Reply> replies;
  errno = address->sa_family == AF_PACKET ? state().script.transmit(sent)
                                          : state().script.answer(sent, &replies);
  if (errno != 0) return -1;
  for (const peer::Reply& reply : replies) Deliver(found->second, reply);
  return static_cast<ssize_t>(size);
}

ssize_t __wrap_recvmsg(int descriptor, msghdr* header, int flags) {
  {
    const std::lock_guard<std::mutex> guard(state().lock);
    if (state().peers.count(descriptor) == 0) return __real_recvmsg(descriptor, header, flags);
  }
  Envelope envelope{};
  iovec parts[] = {{&envelope, sizeof envelope}, header->msg_iov[0]};
  msghdr wrapped{};
  wrapped.msg_iov = parts;
  wrapped.msg_iovlen = std::size(parts);
  const ssize_t size = __real_recvmsg(descriptor, &wrapped, flags);
  if (size < 0) return size;
  if (envelope.error != 0) {
    errno = envelope.error;
    return -1;
  }
  sockaddr_nl sender{};
  sender.nl_family = AF_NETLINK;
  sender.nl_pid = envelope.port;
  if (header->msg_name != nullptr) std::memcpy(header->msg_name, &sender, sizeof sender);
  header->msg_flags = wrapped.msg_flags;
  return size - static_cast<ssize_t>(sizeof envelope);
}

}  // extern "C"
