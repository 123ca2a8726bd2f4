// The changing half of the client.

#include <algorithm>
#include <cerrno>

#include "ipvs/client.h"
#include "ipvs/patch.h"

namespace ipvs {

namespace {

using netlink::Deadline;
using netlink::Failure;
using netlink::Load;
using netlink::Outcome;
using netlink::Stage;

// Every message of a send may fail, and the default receive buffer of a process that may not force
// it larger holds 237 replies; beyond 128 messages nothing is gained (1.2 % from the best).
constexpr size_t kMessagesPerSend = 128;

// Somebody else may delete what is there before it is edited.
constexpr int kTriesToAddOrEdit = 4;

uint32_t CommandOf(const uint8_t* operation) {
  return Load<uint32_t>(operation + offsetof(OperationHeader, command));
}

uint32_t KindOf(const uint8_t* operation) {
  return Load<uint32_t>(operation + offsetof(OperationHeader, kind));
}

uint32_t DaemonStateOf(const uint8_t* daemon) {
  return Load<uint32_t>(daemon + offsetof(DaemonRecord, state));
}

// How many operations from the first on can travel in one send. A patch reads first, what may
// become an edit has to know, and whether a daemon stopped is looked up before anything else
// happens.
size_t ChunkLength(const uint8_t* operations, size_t count) {
  size_t length = 1;
  while (length < count && length < kMessagesPerSend) {
    const uint8_t* next = operations + length * OperationSize();
    if (KindOf(next) != kPlain || CommandOf(next - OperationSize()) == kDelDaemon) break;
    ++length;
  }
  return length;
}

bool AllAreRefused(const std::vector<Outcome>& outcomes, int error) {
  return std::all_of(outcomes.begin(), outcomes.end(), [error](const Outcome& outcome) {
    return netlink::IsRefusal(outcome, error);
  });
}

// Whether a send broke off with nothing told but ENOENT. Nobody knows then whether the number was
// stale, or something was not there and the others were carried out.
bool MayBeStale(const Outcome& exchange, const std::vector<Outcome>& outcomes) {
  return exchange.stage == Stage::kReply &&
         std::all_of(outcomes.begin(), outcomes.end(), [](const Outcome& outcome) {
           return outcome.stage == Stage::kReply || netlink::IsRefusal(outcome, ENOENT);
         });
}

bool IsSilence(const Outcome& outcome) {
  const bool waited = outcome.stage == Stage::kReply || outcome.stage == Stage::kFamily;
  return waited && outcome.error == ETIMEDOUT;
}

}  // namespace

void Client::SendChunk(uint16_t family, const uint8_t* operations, size_t count,
                       std::vector<Outcome>* outcomes) {
  change_batch_.Clear();
  for (size_t i = 0; i < count; ++i) {
    if (writer_.Write(family, operations + i * OperationSize(), &change_batch_)) continue;
    outcomes->assign(count, Failure(Stage::kSend, EOPNOTSUPP));
    return;
  }
  // The kernel sometimes stops a daemon and sends no reply at all (kthread_stop answers -EINTR,
  // which netlink takes for a dump under way), so another request has to be the last.
  if (CommandOf(operations + (count - 1) * OperationSize()) == kDelDaemon) {
    WriteQuery(family, kGetInfo, 0, nullptr, &change_batch_);
  }
  const Outcome outcome =
      netlink::Exchange(&change_socket_, &change_batch_, Deadline(silence_), outcomes);
  if (MayBeStale(outcome, *outcomes)) outcomes->assign(outcomes->size(), outcome);
  if (!netlink::LeavesUsable(outcome)) change_socket_.Close();
}

bool Client::ApplyChunk(const uint8_t* operations, size_t count) {
  Channel channel{&change_socket_, 0};
  const Outcome reached = Reach(&channel, [&] {
    SendChunk(channel.family, operations, count, &told_);
    return !AllAreRefused(told_, ENOENT);
  });
  if (!reached.ok()) told_.assign(count, reached);
  const bool is_silent = IsSilence(told_.back());
  told_.resize(count);
  const uint8_t* last = operations + (count - 1) * OperationSize();
  if (CommandOf(last) == kDelDaemon && told_.back().ok()) ConfirmStop(last, &told_.back());
  return is_silent;
}

Outcome Client::ApplyOne(const uint8_t* operation) {
  ApplyChunk(operation, 1);
  return told_.front();
}

// No refusal arrived, which of a stop is not yet a success: look whether the daemon is gone.
void Client::ConfirmStop(const uint8_t* operation, Outcome* outcome) {
  Records daemons;
  const Outcome read = ReadDaemons(&daemons);
  if (!read.ok()) *outcome = Failure(Stage::kReply, read.error);
  const uint32_t state = DaemonStateOf(operation + OperationServiceOffset());
  for (size_t at = 0; at < daemons.size(); at += kDaemonTable.record_size) {
    if (DaemonStateOf(&daemons[at]) == state) *outcome = Failure(Stage::kReply, EBUSY);
  }
}

Outcome Client::Merge(const uint8_t* operation, Records* merged) {
  const uint8_t* key = operation + OperationServiceOffset();
  const Records service(key, key + kServiceTable.config_size);
  Records found;
  if (CommandOf(operation) == kSetService) {
    Outcome outcome = ReadService(service, &found);
    return outcome.ok() ? MergeService(operation, found.data(), merged) : outcome;
  }
  Outcome outcome = ReadDestinations(service, &found);
  if (!outcome.ok()) return outcome;
  const std::string_view wanted =
      IdentityOf(kDestinationTable, operation + OperationDestinationOffset());
  for (size_t at = 0; at < found.size(); at += kDestinationTable.record_size) {
    if (IdentityOf(kDestinationTable, &found[at]) != wanted) continue;
    MergeDestination(operation, &found[at], merged);
    return {};
  }
  return Failure(Stage::kKernel, ENOENT);
}

Outcome Client::ApplyPatch(const uint8_t* operation) {
  Records merged;
  Outcome outcome = Merge(operation, &merged);
  if (outcome.ok()) outcome = ApplyOne(merged.data());
  // Reading failed, so nothing was changed.
  if (merged.empty() && outcome.stage == Stage::kReply) outcome.stage = Stage::kFamily;
  return outcome;
}

Outcome Client::AddOrEdit(const uint8_t* operation) {
  const bool is_service = CommandOf(operation) == kNewService;
  Records edit(operation, operation + OperationSize());
  netlink::Store<uint32_t>(&edit[offsetof(OperationHeader, command)],
                           is_service ? kSetService : kSetDest);
  Outcome outcome;
  for (int tries = 0; tries < kTriesToAddOrEdit; ++tries) {
    outcome = ApplyOne(operation);
    if (!netlink::IsRefusal(outcome, EEXIST)) return outcome;
    Outcome edited = ApplyOne(edit.data());
    if (!netlink::IsRefusal(edited, is_service ? ESRCH : ENOENT)) return edited;
  }
  return outcome;
}

bool Client::ApplySome(const uint8_t* operations, size_t count) {
  switch (KindOf(operations)) {
    case kPlain:
      return ApplyChunk(operations, count);
    case kPatch:
      told_.assign(1, ApplyPatch(operations));
      return false;
    case kEditIfExists:
      told_.assign(1, AddOrEdit(operations));
      return false;
    default:
      told_.assign(1, Failure(Stage::kSend, EINVAL));
      return false;
  }
}

void Client::Apply(netlink::Bytes operations, std::vector<Outcome>* outcomes) {
  const std::lock_guard<std::mutex> lock(changing_);
  const size_t count = operations.size / OperationSize();
  outcomes->clear();
  size_t length = 0;
  for (size_t done = 0; done < count; done += length) {
    const uint8_t* next = operations.data + done * OperationSize();
    length = KindOf(next) == kPlain ? ChunkLength(next, count - done) : 1;
    const bool is_silent = ApplySome(next, length) || IsSilence(told_.back());
    for (size_t i = 0; i < length; ++i) {
      if (told_[i].ok()) continue;
      outcomes->resize(count);
      (*outcomes)[done + i] = told_[i];
    }
    // A kernel that does not answer would cost the whole silence again for every further chunk.
    if (!is_silent) continue;
    outcomes->resize(count);
    std::fill(outcomes->begin() + static_cast<ptrdiff_t>(done + length), outcomes->end(),
              Failure(Stage::kSend, ECANCELED));
    return;
  }
}

void Client::Apply(const Records& operations, std::vector<Outcome>* outcomes) {
  Apply(netlink::Bytes{operations.data(), operations.size()}, outcomes);
  outcomes->resize(operations.size() / OperationSize());
}

}  // namespace ipvs
