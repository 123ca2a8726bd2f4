// Requests sent together, and the replies told apart again.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "netlink/message.h"
#include "netlink/socket.h"

namespace netlink {

// Messages for one sendmsg. The kernel executes them in order, goes on after one that fails, and
// reports every failure; so an acknowledgement is asked of the last only, and its arrival says that
// all others without an error succeeded.
class RequestBatch {
 public:
  explicit RequestBatch(Socket* socket) : socket_(socket) {}

  // Starts the next message; the caller appends to it and then calls writer().End().
  MessageWriter& Begin(uint16_t type, uint16_t flags);
  // The next message is one of before, written once more; answers where it begins.
  uint8_t* Repeat(Bytes message) { return writer_.Repeat(message, NextSequence()); }
  // For the next send; the memory is kept.
  void Clear() {
    writer_.Clear();
    count_ = 0;
    sendable_ = true;
  }
  MessageWriter& writer() { return writer_; }

  // False when a message has a type that belongs to netlink itself: the kernel would acknowledge it
  // as a success and do nothing.
  bool sendable() const { return sendable_; }

 private:
  friend class BatchExchange;
  friend class DumpExchange;

  uint32_t NextSequence() {
    const uint32_t sequence = socket_->NextSequence();
    if (count_++ == 0) first_ = sequence;
    return sequence;
  }
  // The message of that number: they are consecutive, but that 0 is skipped.
  std::optional<size_t> IndexOf(uint32_t sequence) const {
    const uint32_t index = sequence - first_ - (sequence < first_ ? 1 : 0);
    if (sequence == 0 || index >= count_) return std::nullopt;
    return index;
  }

  Socket* socket_;
  MessageWriter writer_;
  uint32_t first_ = 0;  // number
  size_t count_ = 0;
  bool sendable_ = true;
};

// Called with the index of the request and a message that answers it (a GET's reply). Answers
// whether the message could be read.
using ReplyReader = std::function<bool(size_t index, const Message&)>;

// Sends the batch and fills one outcome for each request, in order. A request whose fate was not
// told has Stage::kReply. The returned outcome is that of the exchange itself: when it is not ok,
// late replies may still arrive and the socket must not be used again.
Outcome Exchange(Socket* socket, RequestBatch* batch, Deadline deadline,
                 std::vector<Outcome>* outcomes, const ReplyReader& read = nullptr);

// One request with one outcome.
Outcome ExchangeOne(Socket* socket, RequestBatch* batch, Deadline deadline,
                    const ReplyReader& read = nullptr);

// Sends the only request of `batch`, which asks for a dump, and hands over each entry. A dump that
// the kernel marks as interrupted (the table changed meanwhile) ends with EINTR: repeat it.
Outcome Dump(Socket* socket, RequestBatch* batch, Deadline deadline,
             const std::function<bool(const Message&)>& read);

// Whether the socket may be used again. One on which replies may still be under way must not be.
inline bool LeavesUsable(const Outcome& outcome) {
  return outcome.stage != Stage::kReply && outcome.stage != Stage::kSend;
}

}  // namespace netlink
