// Answers to the calls below route/ that are the kernel's own and still no plain yes: dumps that
// are repeated or fail, modules that are not there, and announcements that cannot be sent.

#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>

#include "netlink/family.h"
#include "route/announce.h"
#include "route/fou.h"
#include "route_faults.h"

namespace {

using faults::Calls;
using faults::Check;
using faults::CheckRecovery;
using faults::Describe;
using faults::Is;
using faults::kHere;
using faults::kSilence;
using faults::MakeChanges;
using faults::Outcomes;
using faults::Replies;
using faults::RouteCall;
using faults::SequenceOf;
using model::Machine;
using model::MakeDone;
using netlink::Outcome;
using netlink::Stage;
using peer::Reply;
using route::Encapsulation;

// What the kernel does when a list changed while it told it: entries twice, and a mark.
void Interrupt(Replies* replies) {
  const Replies entries(replies->begin(), replies->end() - 1);
  replies->insert(replies->begin(), entries.begin(), entries.end());
  for (Reply& reply : *replies) {
    uint8_t* flags = reply.bytes.data() + offsetof(nlmsghdr, nlmsg_flags);
    netlink::Store<uint16_t>(
        flags, static_cast<uint16_t>(netlink::Load<uint16_t>(flags) | NLM_F_DUMP_INTR));
  }
}

void CheckInterrupted(const RouteCall& call, size_t spoilt, size_t times) {
  const Stage stage = call.changes ? Stage::kSend : Stage::kReply;
  Machine machine;
  peer::Play(machine.script());
  machine.addresses = {7, 8};
  machine.spoil_reading = [&](size_t before, Replies* replies) {
    if (before >= spoilt && before < spoilt + times) Interrupt(replies);
  };
  for (const Outcome& outcome : call.run()) {
    const bool is_right = times < 8 ? outcome.ok() : Is(outcome, stage, EINTR);
    Check(is_right, call.name + ": " + Describe(outcome));
  }
  Check(times < 8 || machine.executed.empty(), "what cannot be read is not changed");
  CheckRecovery(call, &machine);
}

void TestInterruptedDump() {
  for (const RouteCall& call : Calls()) {
    for (size_t spoilt = 0; spoilt < call.dumps; ++spoilt) {
      for (const size_t times : {1U, 7U, 8U}) CheckInterrupted(call, spoilt, times);
    }
  }
}

void TestEntriesOfAnInterruptedDump() {
  Machine machine;
  peer::Play(machine.script());
  machine.addresses = {7, 8};
  machine.spoil_reading = [](size_t before, Replies* replies) {
    if (before < 3) Interrupt(replies);
  };
  route::Links links;
  Check(route::ReadLinks(kHere, kSilence, &links).ok() && links.size() == 2,
        "each device is told once");
  machine.readings = 0;
  Check(faults::CountAddresses() == 2, "and each address");
}

void TestDumpThatFails() {
  for (const RouteCall& call : Calls()) {
    for (size_t spoilt = 0; spoilt < call.dumps; ++spoilt) {
      Machine machine;
      peer::Play(machine.script());
      machine.addresses = {7, 8};
      machine.spoil_reading = [spoilt](size_t before, Replies* replies) {
        if (before != spoilt) return;
        const uint32_t sequence = SequenceOf(replies->front());
        replies->resize(1);
        replies->push_back(MakeDone(sequence, 0, ENOMEM));
      };
      for (const Outcome& outcome : call.run()) {
        Check(Is(outcome, Stage::kKernel, ENOMEM), "a dump's own error: " + Describe(outcome));
      }
      Check(machine.executed.empty(), "and nothing was changed");
      CheckRecovery(call, &machine);
    }
  }
}

constexpr route::FouPort kPort = {AF_INET, 6080};

Outcome ReadPort(uint16_t port, Encapsulation* found) {
  return route::ReadFouPort(kHere, {AF_INET, port}, kSilence, found);
}

void TestPort() {
  Machine machine;
  peer::Play(machine.script());
  Encapsulation found{};
  Check(ReadPort(kPort.port, &found).ok() && found == Encapsulation::kGue, "it takes GUE");
  Check(ReadPort(7, &found).ok() && found == Encapsulation::kNone, "nobody listens there");
  // The content is lost, and the acknowledgement is not.
  machine.readings = 0;
  machine.spoil_reading = [](size_t before, Replies* replies) {
    if (before == 1) replies->erase(replies->begin());
  };
  const Outcome outcome = ReadPort(kPort.port, &found);
  Check(Is(outcome, Stage::kReply, EBADMSG), "an acknowledgement alone is no answer to a question");
}

void TestNoFamily() {
  Machine machine;
  machine.fou = 0;
  peer::Script script = machine.script();
  std::vector<std::string> looked_for;
  script.look_for_device = [&](const char* name) { looked_for.emplace_back(name); };
  peer::Play(script);
  Encapsulation found{};
  Check(ReadPort(kPort.port, &found).ok() && found == Encapsulation::kNone, "nobody listens");
  Outcome outcome = route::ChangeGuePort(kHere, false, kPort, kSilence);
  Check(Is(outcome, Stage::kKernel, ENOENT), "there is nothing to end: " + Describe(outcome));
  Check(looked_for.empty(), "no module is loaded for that");
  outcome = route::ChangeGuePort(kHere, true, kPort, kSilence);
  Check(Is(outcome, Stage::kKernel, ENOENT), "nothing to begin: " + Describe(outcome));
  Check(looked_for == std::vector<std::string>{"fou"}, "the module is asked for once");
  outcome = netlink::LoadFamily(kHere, "fou", kSilence);
  Check(Is(outcome, Stage::kFamily, ENOENT), "there is none to load: " + Describe(outcome));
  Check(machine.executed.empty(), "and nothing is done");
}

void TestFamilyThatIsLoaded() {
  for (const bool is_silent : {false, true}) {
    Machine machine;
    machine.fou = 0;
    machine.ports.clear();
    peer::Script script = machine.script();
    script.look_for_device = [&](const char*) {
      machine.fou = 41;
      if (is_silent) machine.spoil_reading = [](size_t, Replies* replies) { replies->clear(); };
    };
    peer::Play(script);
    const Outcome outcome = route::ChangeGuePort(kHere, true, kPort, kSilence);
    const bool is_right = is_silent ? Is(outcome, Stage::kSend, ETIMEDOUT) : outcome.ok();
    Check(is_right, "the module is loaded, and asked: " + Describe(outcome));
    Check(machine.ports.count(kPort.port) == (is_silent ? 0 : 1), "and does what it is told");
  }
}

// The kernel acknowledges messages of types that belong to netlink itself, and does nothing.
void TestFamilyWithoutNumber() {
  for (const RouteCall& call : Calls()) {
    if (call.readings == call.dumps) continue;  // all it asks are lists
    Machine machine;
    machine.fou = NLMSG_MIN_TYPE - 1;
    peer::Play(machine.script());
    const Outcome outcome = call.run().front();
    Check(Is(outcome, call.changes ? Stage::kSend : Stage::kReply, EBADMSG), Describe(outcome));
    Check(machine.readings == 1 && machine.executed.empty(), "nothing is sent to it");
  }
}

void TestDeviceWithoutParent() {
  Machine machine;
  peer::Play(machine.script());
  const route::LinkChange change{route::LinkVerb::kCreate, "gre7", "gre", "none"};
  const Outcome outcome = route::ChangeLink(kHere, change, kSilence);
  Check(Is(outcome, Stage::kKernel, ENODEV), "there is no parent: " + Describe(outcome));
  Check(machine.executed.empty(), "and nothing is sent");
}

void TestAnnouncementsThatFail() {
  Machine machine;
  peer::Script script = machine.script();
  script.transmit = [&](netlink::Bytes frame) {
    machine.transmitted.push_back(frame.size);
    return machine.transmitted.size() == 2 ? ENETDOWN : 0;
  };
  peer::Play(script);
  Outcomes told;
  route::Announce(kHere, MakeChanges({"eth0", "lo", "eth0", "none", "eth0"}), kSilence, &told);
  Check(told[0].ok() && told[4].ok(), "each is told by itself");
  Check(Is(told[1], Stage::kKernel, EOPNOTSUPP), "no Ethernet: " + Describe(told[1]));
  Check(Is(told[2], Stage::kKernel, ENETDOWN), "not sent: " + Describe(told[2]));
  Check(Is(told[3], Stage::kKernel, ENODEV), "no device: " + Describe(told[3]));
  Check(machine.transmitted == std::vector<size_t>(3, sizeof(route::ArpPacket)), "ARP packets");
  script.open = [](int domain) { return domain == AF_PACKET ? EPERM : 0; };
  peer::Play(script);
  route::Announce(kHere, MakeChanges({"eth0", "none"}), kSilence, &told);
  for (const Outcome& outcome : told) {
    Check(Is(outcome, Stage::kKernel, EPERM), "no packet socket: " + Describe(outcome));
  }
  Check(machine.transmitted.size() == 3, "nothing is sent");
}

}  // namespace

int main() {
  faults::Run({
      TEST(InterruptedDump),
      TEST(EntriesOfAnInterruptedDump),
      TEST(DumpThatFails),
      TEST(Port),
      TEST(NoFamily),
      TEST(FamilyThatIsLoaded),
      TEST(FamilyWithoutNumber),
      TEST(DeviceWithoutParent),
      TEST(AnnouncementsThatFail),
  });
}
