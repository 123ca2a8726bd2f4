// Answers that are the kernel's own and still no plain yes: dumps that are repeated or fail,
// numbers that are no errno, words of a refusal, and changes that are made of several requests.

#include <linux/netlink.h>

#include <cerrno>
#include <limits>

#include "faults.h"

namespace {

using faults::Bed;
using faults::Check;
using faults::Describe;
using faults::Expect;
using faults::Is;
using faults::Replies;
using faults::SequenceOf;
using ipvs::Records;
using model::MakeKey;
using model::MakeOperation;
using netlink::Outcome;
using netlink::Stage;
using netlink::Store;
using peer::Reply;

void TestDuplicatedDump() {
  Bed bed;
  bed.Apply({1, 2, 3});
  bed.kernel.spoil = [](Replies* replies) {
    const Replies entries(replies->begin(), replies->end() - 1);
    replies->insert(replies->begin(), entries.begin(), entries.end());
  };
  size_t count = 0;
  Check(bed.Read(&count).ok() && count == 3, "entries that arrive twice stay once");
  bed.Recovers();
}

void TestInterruptedDump() {
  for (const int interruptions : {1, 7, 8}) {
    Bed bed;
    bed.Apply({1, 2, 3});
    int left = interruptions;
    bed.kernel.spoil = [&left](Replies* replies) {
      if (left-- <= 0) return;
      for (Reply& reply : *replies) {
        uint8_t* flags = reply.bytes.data() + offsetof(nlmsghdr, nlmsg_flags);
        Store<uint16_t>(flags,
                        static_cast<uint16_t>(netlink::Load<uint16_t>(flags) | NLM_F_DUMP_INTR));
      }
    };
    size_t count = 0;
    const Outcome read = bed.Read(&count);
    if (interruptions < 8) {
      Check(read.ok() && count == 3, "an interrupted dump is repeated");
    } else {
      Check(Is(read, Stage::kReply, EINTR), "but not for ever: " + Describe(read));
    }
    bed.Recovers();
  }
}

void TestDumpThatFails() {
  for (const int error : {ENOMEM, EINTR, 4095}) {
    Bed bed;
    bed.Apply({1, 2, 3});
    bed.kernel.spoil = [error](Replies* replies) {
      const uint32_t sequence = SequenceOf(replies->front());
      replies->resize(2);
      replies->push_back(model::MakeDone(sequence, 0, error));
    };
    const Outcome read = bed.Read();
    Check(Is(read, Stage::kKernel, error), "a dump's own error: " + Describe(read));
    bed.Recovers();
  }
}

// -2^31 has no positive counterpart, and a positive number is no errno of the kernel.
void TestAbsurdErrno() {
  for (const int32_t absurd : {std::numeric_limits<int32_t>::min(), -4096, 1, 17}) {
    const auto spoil = [absurd](Replies* replies) {
      const uint32_t sequence = SequenceOf(replies->back());
      *replies = {model::MakeReply(NLMSG_ERROR, 0, sequence, [&](netlink::MessageWriter* writer) {
        writer->Append(&absurd, sizeof absurd);
      })};
    };
    Expect(spoil, EBADMSG, EBADMSG);
  }
}

// A refusal with words: behind the whole request where it is echoed, else behind its header, which
// tells the length of all of it either way.
Reply MakeRefusalWithWords(uint32_t sequence, bool is_echoed, const std::string& words) {
  constexpr size_t kPayload = 72;
  const auto flags = static_cast<uint16_t>(NLM_F_ACK_TLVS | (is_echoed ? 0 : NLM_F_CAPPED));
  return model::MakeReply(NLMSG_ERROR, flags, sequence, [&](netlink::MessageWriter* writer) {
    const int32_t error = -EINVAL;
    nlmsghdr request{};
    request.nlmsg_len = static_cast<uint32_t>(sizeof request + kPayload);
    writer->Append(&error, sizeof error);
    writer->Append(&request, sizeof request);
    const std::vector<uint8_t> payload(kPayload, 0x41);
    if (is_echoed) writer->Append(payload.data(), payload.size());
    writer->Attribute(NLMSGERR_ATTR_OFFS, uint32_t{20});
    writer->Attribute(NLMSGERR_ATTR_MSG, words.c_str(), words.size() + 1);
  });
}

void TestWordsOfTheKernel() {
  for (const bool is_echoed : {false, true}) {
    for (const std::string& words : {std::string(), std::string("Attribute failed")}) {
      Bed bed;
      bed.kernel.spoil = [&](Replies* replies) {
        const uint32_t sequence = SequenceOf(replies->back());
        *replies = {MakeRefusalWithWords(sequence, is_echoed, words)};
      };
      const Outcome outcome = bed.Apply({1}).front();
      Check(Is(outcome, Stage::kKernel, EINVAL), "it is refused: " + Describe(outcome));
      Check(outcome.text == words, "with the kernel's words: " + outcome.text);
      bed.Recovers();
    }
  }
  // An echo that is said to be longer than the message has no words, and does no harm.
  Bed bed;
  bed.kernel.spoil = [](Replies* replies) {
    Reply refusal = MakeRefusalWithWords(SequenceOf(replies->back()), true, "x");
    Store<uint32_t>(refusal.bytes.data() + sizeof(nlmsghdr) + sizeof(int32_t), 70000);
    *replies = {refusal};
  };
  const Outcome outcome = bed.Apply({1}).front();
  Check(Is(outcome, Stage::kKernel, EINVAL) && outcome.text.empty(), "refused without words");
  bed.Recovers();
}

void TestAnswerWithoutContent() {
  Bed bed;
  bed.Apply({1});
  bed.kernel.spoil = [](Replies* replies) { replies->erase(replies->begin()); };
  Records found;
  const Outcome read = bed.client.ReadService(MakeKey(1), &found);
  Check(Is(read, Stage::kReply, EBADMSG), "an acknowledgement alone is no answer to a question");
  bed.Recovers();
}

void TestPatch() {
  Bed bed;
  bed.Apply({1});
  Records patch = MakeOperation(ipvs::kSetService, 1);
  Store<uint32_t>(&patch[offsetof(ipvs::OperationHeader, kind)], 1);
  const auto apply = [&] {
    std::vector<Outcome> outcomes;
    bed.client.Apply(patch, &outcomes);
    return outcomes.front();
  };
  int sends = 0;
  bed.kernel.spoil = [&sends](Replies* replies) {
    if (++sends == 1) replies->clear();
  };
  Outcome outcome = apply();
  Check(Is(outcome, Stage::kFamily, ETIMEDOUT), "the reading was lost: " + Describe(outcome));
  Check(bed.kernel.executed.size() == 1, "so nothing was changed");
  sends = -1;
  outcome = apply();
  Check(Is(outcome, Stage::kReply, ETIMEDOUT), "the writing was lost: " + Describe(outcome));
  Check(bed.kernel.executed.size() == 2, "and it was carried out");
  bed.Recovers();
}

constexpr uint32_t kMaster = 1;

Records MakeStop() {
  Records stop(ipvs::OperationSize(), 0);
  Store<uint32_t>(stop.data(), ipvs::kDelDaemon);
  Store<uint32_t>(&stop[ipvs::OperationServiceOffset()], 1);  // the row of the state is present
  Store<uint32_t>(&stop[ipvs::OperationServiceOffset() + offsetof(ipvs::DaemonRecord, state)],
                  kMaster);
  return stop;
}

// The kernel stops a daemon and says nothing; what follows is answered.
void TestStopWithoutVerdict() {
  Bed bed;
  bed.kernel.refuse = [](uint32_t) { return EINTR; };
  const Records stop = MakeStop();
  std::vector<Outcome> outcomes;
  bed.kernel.daemons = {2};
  bed.client.Apply(stop, &outcomes);
  Check(outcomes.front().ok(), "it is seen to be stopped: " + Describe(outcomes.front()));
  bed.kernel.daemons = {2, kMaster};
  bed.client.Apply(stop, &outcomes);
  Check(Is(outcomes.front(), Stage::kReply, EBUSY), "and not to be: " + Describe(outcomes.front()));
  bed.Recovers();
}

// The kernel refuses to stop a daemon and then falls silent: the rest of the batch is not sent into
// that, although the last change of the send was answered.
void TestSilenceBehindAStop() {
  for (const size_t others : {0U, 2U}) {
    Bed bed;
    bed.kernel.refuse = [](uint32_t fwmark) { return fwmark == 0 ? ESRCH : 0; };
    bed.kernel.spoil = [](Replies* replies) { replies->resize(1); };
    Records operations;
    const auto append = [&](const Records& one) {
      operations.insert(operations.end(), one.begin(), one.end());
    };
    for (uint32_t i = 0; i < others; ++i) append(MakeOperation(ipvs::kNewService, 1 + i));
    append(MakeStop());
    append(MakeOperation(ipvs::kNewService, 9));
    std::vector<Outcome> told;
    bed.client.Apply(operations, &told);
    for (size_t i = 0; i < others; ++i) {
      Check(Is(told[i], Stage::kReply, ETIMEDOUT), "it is unknown: " + Describe(told[i]));
    }
    Check(Is(told[others], Stage::kKernel, ESRCH), "it is refused: " + Describe(told[others]));
    Check(Is(told.back(), Stage::kSend, ECANCELED), "it is not sent: " + Describe(told.back()));
    Check(bed.kernel.executed.size() == others + 1, "and not carried out");
    bed.Recovers();
  }
}

}  // namespace

int main() {
  faults::Run({
      TEST(DuplicatedDump),
      TEST(InterruptedDump),
      TEST(DumpThatFails),
      TEST(AbsurdErrno),
      TEST(WordsOfTheKernel),
      TEST(AnswerWithoutContent),
      TEST(Patch),
      TEST(StopWithoutVerdict),
      TEST(SilenceBehindAStop),
  });
}
