#include "netlink/socket.h"

#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

namespace netlink {

namespace {

// Holds the replies to 2,340 refused requests (the kernel accounts 896 bytes for each); the default
// of 212,992 holds 237.
constexpr int kKernelReceiveBuffer = 1 << 20;

void Configure(int descriptor) {
  const int on = 1;
  // Old kernels lack these two; the replies are then longer and without words, and still read.
  setsockopt(descriptor, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  setsockopt(descriptor, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  const int size = kKernelReceiveBuffer;
  // FORCE needs CAP_NET_ADMIN; without it we get what net.core.rmem_max allows.
  if (setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0) {
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  }
}

Outcome OpenHere(int protocol, Descriptor* opened) {
  Descriptor descriptor(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  if (!descriptor.valid()) return Failure(Stage::kSocket, errno);
  Configure(descriptor.get());
  sockaddr_nl local{};
  local.nl_family = AF_NETLINK;  // port 0: the kernel gives the socket a port of its own
  if (bind(descriptor.get(), reinterpret_cast<sockaddr*>(&local), sizeof local) != 0) {
    return Failure(Stage::kSocket, errno);
  }
  *opened = std::move(descriptor);
  return {};
}

}  // namespace

int Deadline::MillisecondsLeft() {
  using std::chrono::milliseconds;
  const Clock::time_point now = Clock::now();
  if (!end_) end_ = now + silence_;
  const auto left = std::chrono::duration_cast<milliseconds>(*end_ - now).count();
  return left > 0 ? static_cast<int>(left) : 0;
}

Outcome Socket::Open(int protocol, const std::shared_ptr<NetworkNamespace>& where, Socket* opened) {
  Descriptor descriptor;
  Outcome outcome = RunInNamespace(where, [&] { return OpenHere(protocol, &descriptor); });
  if (!outcome.ok()) return outcome;
  opened->descriptor_ = std::move(descriptor);
  opened->sequence_ = 0;
  return {};
}

void Socket::AskStrictChecks() {
  const int on = 1;
  setsockopt(descriptor_.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
}

Outcome Socket::Send(Bytes messages) {
  // The destination is named on every send: without it the kernel asks for the privileges of
  // whoever opened the socket as well.
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  for (;;) {
    const ssize_t sent = sendto(descriptor_.get(), messages.data, messages.size, 0,
                                reinterpret_cast<sockaddr*>(&kernel), sizeof kernel);
    if (sent >= 0) return {};
    if (errno != EINTR) return Failure(Stage::kSend, errno);
  }
}

Outcome Socket::AwaitReadable(Deadline* deadline) {
  for (;;) {
    pollfd wanted{descriptor_.get(), POLLIN, 0};
    const int ready = poll(&wanted, 1, deadline->MillisecondsLeft());
    if (ready > 0) return {};
    if (ready == 0) return Failure(Stage::kReply, ETIMEDOUT);
    if (errno != EINTR) return Failure(Stage::kReply, errno);
  }
}

Outcome Socket::Receive(Deadline* deadline, Bytes* datagram) {
  buffer_.resize(room_);
  for (;;) {
    sockaddr_nl sender{};
    iovec target{buffer_.data(), buffer_.size()};
    msghdr header{};
    header.msg_name = &sender;
    header.msg_namelen = sizeof sender;
    header.msg_iov = &target;
    header.msg_iovlen = 1;
    const ssize_t size = recvmsg(descriptor_.get(), &header, 0);
    if (size < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return Failure(Stage::kReply, errno);
      Outcome outcome = AwaitReadable(deadline);
      if (!outcome.ok()) return outcome;
      continue;
    }
    if (sender.nl_pid != 0) {  // another process writes to our port; only the kernel is 0
      if (deadline->MillisecondsLeft() == 0) return Failure(Stage::kReply, ETIMEDOUT);
      continue;
    }
    if ((header.msg_flags & MSG_TRUNC) != 0) return Failure(Stage::kReply, EMSGSIZE);
    *datagram = {buffer_.data(), static_cast<size_t>(size)};
    return {};
  }
}

}  // namespace netlink
