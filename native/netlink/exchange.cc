#include "netlink/exchange.h"

#include <linux/netlink.h>

#include <cerrno>
#include <optional>

namespace netlink {

namespace {

// What follows the errno of an NLMSG_ERROR: the request's header, its payload unless the kernel
// left that out (CAPPED), then attributes with the kernel's words.
std::string ExtendedText(const Message& message) {
  if ((message.flags & NLM_F_ACK_TLVS) == 0) return {};
  const Bytes echo = message.payload.From(sizeof(int32_t));
  if (echo.size < sizeof(nlmsghdr)) return {};
  const size_t echoed = (message.flags & NLM_F_CAPPED) != 0
                            ? sizeof(nlmsghdr)
                            : Align(Load<uint32_t>(echo.data + offsetof(nlmsghdr, nlmsg_len)));
  AttributeReader attributes(echo.From(echoed));
  AttributeView attribute;
  while (attributes.Next(&attribute)) {
    if (attribute.type != NLMSGERR_ATTR_MSG) continue;
    const auto* text = reinterpret_cast<const char*>(attribute.payload.data);
    return {text, strnlen(text, attribute.payload.size)};
  }
  return {};
}

// MAX_ERRNO of the kernel.
constexpr int32_t kLastErrno = 4095;

// An acknowledgement (error 0) or a refusal; nothing when the message is cut short, or has a number
// that is no errno.
std::optional<Outcome> ReadVerdict(const Message& message) {
  if (message.payload.size < sizeof(int32_t)) return std::nullopt;
  const auto error = Load<int32_t>(message.payload.data);
  if (error == 0) return Outcome{};
  if (error > 0 || error < -kLastErrno) return std::nullopt;
  return Failure(Stage::kKernel, -error, ExtendedText(message));
}

Outcome Send(Socket* socket, RequestBatch* batch) {
  if (!batch->sendable()) return Failure(Stage::kSend, EPROTO);
  return socket->Send(batch->writer().bytes());
}

}  // namespace

MessageWriter& RequestBatch::Begin(uint16_t type, uint16_t flags) {
  sendable_ = sendable_ && type >= NLMSG_MIN_TYPE;
  writer_.Begin(type, static_cast<uint16_t>(flags | NLM_F_REQUEST), NextSequence());
  return writer_;
}

class BatchExchange {
 public:
  BatchExchange(RequestBatch* batch, std::vector<Outcome>* outcomes, const ReplyReader& read)
      : batch_(*batch), outcomes_(outcomes), read_(read) {
    // Those of the exchange before are mostly of as many, and mostly ok: cheaper than making them.
    outcomes_->resize(batch_.count_);
    for (Outcome& outcome : *outcomes_) {
      if (!outcome.ok()) outcome = {};
    }
    told_.assign(batch_.count_, false);
    batch->writer_.AcknowledgeLast();
  }

  bool done() const { return done_; }
  bool progressed() const { return progressed_; }

  Outcome Take(Bytes datagram) {
    progressed_ = false;
    MessageReader messages(datagram);
    Message message;
    while (messages.Next(&message)) {
      const std::optional<size_t> index = batch_.IndexOf(message.sequence);
      if (!index) continue;  // an answer to a request that was given up
      progressed_ = true;
      if (!TakeOne(*index, message)) return Failure(Stage::kReply, EBADMSG);
    }
    return messages.malformed() ? Failure(Stage::kReply, EBADMSG) : Outcome{};
  }

  // The exchange broke off: what was not told stays unknown.
  void Abandon(const Outcome& reason) {
    for (size_t i = 0; i < outcomes_->size(); ++i) {
      if (!told_[i]) (*outcomes_)[i] = reason;
    }
  }

 private:
  bool TakeOne(size_t index, const Message& message) {
    if (message.type != NLMSG_ERROR) return !read_ || read_(index, message);
    const std::optional<Outcome> verdict = ReadVerdict(message);
    if (!verdict) return false;
    (*outcomes_)[index] = *verdict;
    told_[index] = true;
    done_ = done_ || index + 1 == batch_.count_;
    return true;
  }

  const RequestBatch& batch_;
  std::vector<Outcome>* outcomes_;
  const ReplyReader& read_;
  std::vector<bool> told_;
  bool done_ = false;
  bool progressed_ = false;
};

Outcome Exchange(Socket* socket, RequestBatch* batch, Deadline deadline,
                 std::vector<Outcome>* outcomes, const ReplyReader& read) {
  BatchExchange exchange(batch, outcomes, read);
  Outcome outcome = Send(socket, batch);
  deadline.Arm();  // executing took its own time; the silence starts now
  while (outcome.ok() && !exchange.done()) {
    Bytes datagram;
    outcome = socket->Receive(&deadline, &datagram);
    if (outcome.ok()) outcome = exchange.Take(datagram);
    if (exchange.progressed()) deadline.Arm();
  }
  if (!outcome.ok()) exchange.Abandon(outcome);
  return outcome;
}

Outcome ExchangeOne(Socket* socket, RequestBatch* batch, Deadline deadline,
                    const ReplyReader& read) {
  std::vector<Outcome> outcomes;
  Exchange(socket, batch, deadline, &outcomes, read);
  return outcomes.front();
}

class DumpExchange {
 public:
  DumpExchange(const RequestBatch& batch, const std::function<bool(const Message&)>& read)
      : sequence_(batch.first_), read_(read) {}

  bool done() const { return done_; }
  bool progressed() const { return progressed_; }

  Outcome Take(Bytes datagram) {
    progressed_ = false;
    MessageReader messages(datagram);
    Message message;
    while (!done_ && messages.Next(&message)) {
      if (message.sequence != sequence_) continue;  // of a request that was given up
      progressed_ = true;
      interrupted_ = interrupted_ || (message.flags & NLM_F_DUMP_INTR) != 0;
      // DONE carries an errno too: a dump can fail after its first entries.
      if (message.type == NLMSG_ERROR || message.type == NLMSG_DONE) return Finish(message);
      if (!read_(message)) return Failure(Stage::kReply, EBADMSG);
    }
    return messages.malformed() ? Failure(Stage::kReply, EBADMSG) : Outcome{};
  }

 private:
  Outcome Finish(const Message& message) {
    const std::optional<Outcome> verdict = ReadVerdict(message);
    if (!verdict) return Failure(Stage::kReply, EBADMSG);
    done_ = true;
    return verdict->ok() && interrupted_ ? Failure(Stage::kReply, EINTR) : *verdict;
  }

  const uint32_t sequence_;
  const std::function<bool(const Message&)>& read_;
  bool interrupted_ = false;
  bool progressed_ = false;
  bool done_ = false;
};

Outcome Dump(Socket* socket, RequestBatch* batch, Deadline deadline,
             const std::function<bool(const Message&)>& read) {
  DumpExchange dump(*batch, read);
  Outcome outcome = Send(socket, batch);
  deadline.Arm();
  while (outcome.ok() && !dump.done()) {
    Bytes datagram;
    outcome = socket->Receive(&deadline, &datagram);
    if (outcome.ok()) outcome = dump.Take(datagram);
    if (dump.progressed()) deadline.Arm();
  }
  return outcome;
}

}  // namespace netlink
