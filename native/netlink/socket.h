// One netlink socket to the kernel.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "netlink/bytes.h"
#include "netlink/descriptor.h"
#include "netlink/namespace.h"
#include "netlink/outcome.h"

namespace netlink {

// How long the kernel may stay silent. An exchange arms it when it starts and again at each reply
// that belongs to it, so that a long dump has no limit, and replies to somebody else buy no time.
class Deadline {
 public:
  explicit Deadline(int milliseconds) : silence_(milliseconds) {}
  // Starts anew. The clock is looked at when there is something to wait for, which is seldom.
  void Arm() { end_.reset(); }
  int MillisecondsLeft();

 private:
  using Clock = std::chrono::steady_clock;
  std::chrono::milliseconds silence_;
  std::optional<Clock::time_point> end_;
};

class Socket {
 public:
  // `room`: how large a datagram may be. The kernel makes each one of a dump as large as the
  // largest room that the socket ever offered, up to 32 KiB, and clears it first.
  explicit Socket(size_t room = kMostRoom) : room_(room) {}

  // Twice what the kernel fills, which also takes what pages of 64 KiB make of its minimum.
  static constexpr size_t kMostRoom = 65536;
  // What the kernel's least (NLMSG_GOODSIZE) is at most: with its own part, two pages of memory.
  static constexpr size_t kLeastRoom = 7872;

  // `protocol` is NETLINK_GENERIC, NETLINK_ROUTE ... The socket stays bound to the namespace in
  // which it was made, whichever thread uses it.
  static Outcome Open(int protocol, const std::shared_ptr<NetworkNamespace>& where, Socket* opened);

  // One sendmsg. The kernel executes the requests inside it, so it must never run on the main
  // thread. On failure nothing was executed.
  Outcome Send(Bytes messages);

  // The next datagram from the kernel; valid until the next call.
  Outcome Receive(Deadline* deadline, Bytes* datagram);

  // For the kernel to filter address dumps by what is asked (NETLINK_GET_STRICT_CHK).
  void AskStrictChecks();

  uint32_t NextSequence() {
    if (++sequence_ == 0) ++sequence_;  // 0 marks messages that nobody asked for
    return sequence_;
  }
  bool valid() const { return descriptor_.valid(); }
  void Close() { descriptor_.Close(); }

 private:
  Outcome AwaitReadable(Deadline* deadline);

  size_t room_;
  Descriptor descriptor_;
  uint32_t sequence_ = 0;
  std::vector<uint8_t> buffer_;
};

}  // namespace netlink
