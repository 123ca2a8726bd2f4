// The channel through which a machine's addresses, devices and receiving ends of tunnels are read
// and changed loses, damages, forges or delays: nothing is told as done or as refused that is not
// known to be, and the next call works.

#include "route_faults.h"

#include <cerrno>

namespace {

using faults::Calls;
using faults::ChangeMany;
using faults::Changes;
using faults::Check;
using faults::CheckRecovery;
using faults::Describe;
using faults::Is;
using faults::kStranger;
using faults::Outcomes;
using faults::Replies;
using faults::RouteCall;
using faults::SequenceOf;
using faults::SetSequence;
using model::Machine;
using model::MakeVerdict;
using netlink::Outcome;
using netlink::Stage;
using peer::Reply;

struct Fault {
  std::string name;
  std::function<void(Replies*)> spoil;
  int error;
};

void ForEach(Replies* replies, const std::function<void(Reply*)>& spoil) {
  for (Reply& reply : *replies) spoil(&reply);
}

std::vector<Fault> Faults() {
  std::vector<Fault> all = {
      {"no answer", [](Replies* replies) { replies->clear(); }, ETIMEDOUT},
      {"overflow",
       [](Replies* replies) {
         *replies = {Reply{{}, 0, ENOBUFS}};
       },
       ENOBUFS},
      {"empty", [](Replies* all) { ForEach(all, [](Reply* each) { each->bytes.clear(); }); },
       ETIMEDOUT},
      {"oversized",
       [](Replies* all) { ForEach(all, [](Reply* each) { each->bytes.resize(70000); }); },
       EMSGSIZE},
      {"wrong sequence",
       [](Replies* all) {
         ForEach(all, [](Reply* each) { SetSequence(each, SequenceOf(*each) + 1000); });
       },
       ETIMEDOUT},
      {"a stranger's port",
       [](Replies* all) { ForEach(all, [](Reply* each) { each->port = kStranger; }); }, ETIMEDOUT},
      {"an errno that is none",
       [](Replies* all) { *all = {MakeVerdict(SequenceOf(all->back()), 4096)}; }, EBADMSG},
  };
  for (size_t size = 1; size < 20; ++size) {
    all.push_back(
        {"cut at " + std::to_string(size),
         [size](Replies* all) { ForEach(all, [size](Reply* each) { each->bytes.resize(size); }); },
         EBADMSG});
  }
  return all;
}

void TestAnswerOfAChangeIsLost() {
  for (const Fault& fault : Faults()) {
    for (const RouteCall& call : Changes()) {
      const std::string what = call.name + ", " + fault.name + ": ";
      Machine machine;
      peer::Play(machine.script());
      machine.spoil_changes = fault.spoil;
      for (const Outcome& outcome : call.run()) {
        Check(Is(outcome, Stage::kReply, fault.error), what + Describe(outcome));
      }
      Check(!machine.executed.empty(), what + "the kernel did carry it out");
      CheckRecovery(call, &machine);
    }
  }
}

// Every reading that is part of a call, the first as well as the last.
void TestReadingIsLost() {
  for (const Fault& fault : Faults()) {
    for (const RouteCall& call : Calls()) {
      const Stage stage = call.changes ? Stage::kSend : Stage::kReply;
      for (size_t spoilt = 0; spoilt < call.readings; ++spoilt) {
        const std::string what = call.name + ", " + fault.name + ": ";
        Machine machine;
        peer::Play(machine.script());
        machine.spoil_reading = [&](size_t before, Replies* replies) {
          if (before == spoilt) fault.spoil(replies);
        };
        for (const Outcome& outcome : call.run()) {
          Check(Is(outcome, stage, fault.error), what + Describe(outcome));
        }
        Check(machine.readings == spoilt + 1, what + "nothing more is asked");
        Check(machine.executed.empty() && machine.transmitted.empty(), what + "nothing is done");
        CheckRecovery(call, &machine);
      }
    }
  }
}

void TestForgedVerdicts() {
  for (const int forged : {0, EPERM}) {
    for (const RouteCall& call : Changes()) {
      Machine machine;
      peer::Play(machine.script());
      machine.refuse = [](size_t before) { return before == 0 ? EBUSY : 0; };
      machine.spoil_changes = [forged](Replies* replies) {
        Replies spoilt;
        for (const Reply& reply : *replies) {
          spoilt.push_back(MakeVerdict(SequenceOf(reply), forged));
          spoilt.back().port = kStranger;
          spoilt.push_back(reply);
        }
        *replies = spoilt;
      };
      const Outcomes told = call.run();
      Check(Is(told.front(), Stage::kKernel, EBUSY), call.name + ": " + Describe(told.front()));
      for (size_t i = 1; i < told.size(); ++i) Check(told[i].ok(), "only the kernel is believed");
      CheckRecovery(call, &machine);
    }
  }
}

void TestSilentAfterSome() {
  Machine machine;
  peer::Play(machine.script());
  machine.refuse = [](size_t before) { return before == 1 ? EEXIST : 0; };
  machine.spoil_changes = [](Replies* replies) { replies->resize(1); };
  const Outcomes told = ChangeMany({"eth0", "eth0", "eth0"});
  Check(Is(told[0], Stage::kReply, ETIMEDOUT), "without a verdict of its own it is unknown");
  Check(Is(told[1], Stage::kKernel, EEXIST), "what was told stays told");
  Check(Is(told[2], Stage::kReply, ETIMEDOUT), "and what follows is unknown");
}

// The rest of a batch is not sent into silence, also where the last change of a send was not sent,
// as there is no such device.
void TestSilenceEndsABatch() {
  std::vector<std::string> devices;
  for (size_t i = 0; i < 300; ++i) devices.emplace_back(i % 128 == 127 ? "none" : "eth0");
  for (const int error : {ETIMEDOUT, ENOBUFS}) {
    Machine machine;
    peer::Play(machine.script());
    machine.spoil_changes = [error](Replies* replies) {
      replies->clear();
      if (error != ETIMEDOUT) *replies = {Reply{{}, 0, error}};
    };
    const Outcomes told = ChangeMany(devices);
    Check(Is(told[126], Stage::kReply, error), "what was sent is unknown: " + Describe(told[126]));
    Check(Is(told[127], Stage::kKernel, ENODEV), "what has no device is known to have none");
    for (size_t i = 128; i < told.size(); ++i) {
      Check(Is(told[i], Stage::kSend, ECANCELED), "the rest is not sent: " + Describe(told[i]));
    }
    Check(machine.executed.size() == 127, "and was not carried out");
  }
}

// Everything arrives twice, so that the answers to one send are still there after the next.
void TestStaleReplies() {
  Machine machine;
  peer::Play(machine.script());
  machine.refuse = [](size_t before) { return before % 3 == 0 ? EEXIST : 0; };
  const auto twice = [](Replies* replies) {
    const Replies once = *replies;
    replies->insert(replies->end(), once.begin(), once.end());
  };
  machine.spoil_changes = twice;
  machine.spoil_reading = [&](size_t, Replies* replies) { twice(replies); };
  const Outcomes told = ChangeMany(std::vector<std::string>(300, "eth0"));
  for (size_t i = 0; i < told.size(); ++i) {
    const bool is_right = i % 3 == 0 ? Is(told[i], Stage::kKernel, EEXIST) : told[i].ok();
    Check(is_right, "an answer to an earlier request is none to this one");
  }
}

void TestSendFails() {
  for (const bool fails_change : {false, true}) {
    for (const RouteCall& call : fails_change ? Changes() : Calls()) {
      if (!fails_change && call.readings == 0) continue;
      Machine machine;
      peer::Play(machine.script());
      machine.fail_send = [fails_change](bool is_change) {
        return is_change == fails_change ? ENOBUFS : 0;
      };
      for (const Outcome& outcome : call.run()) {
        Check(Is(outcome, Stage::kSend, ENOBUFS), call.name + ": " + Describe(outcome));
      }
      Check(machine.executed.empty(), "nothing is carried out");
      CheckRecovery(call, &machine);
    }
  }
}

void TestNoSocket() {
  for (const RouteCall& call : Calls()) {
    Machine machine;
    peer::Script script = machine.script();
    script.open = [](int) { return EMFILE; };
    peer::Play(script);
    for (const Outcome& outcome : call.run()) {
      Check(Is(outcome, Stage::kSocket, EMFILE), call.name + ": " + Describe(outcome));
    }
    CheckRecovery(call, &machine);
  }
}

}  // namespace

int main() {
  faults::Run({
      TEST(AnswerOfAChangeIsLost),
      TEST(ReadingIsLost),
      TEST(ForgedVerdicts),
      TEST(SilentAfterSome),
      TEST(SilenceEndsABatch),
      TEST(StaleReplies),
      TEST(SendFails),
      TEST(NoSocket),
  });
}
