// Faults of all kinds at random places, under changes of all kinds; what is told is held against
// what the kernel did.

#include <linux/genetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>
#include <iostream>
#include <iterator>
#include <random>

#include "faults.h"

namespace {

using faults::Check;
using faults::Describe;
using faults::kStranger;
using faults::Replies;
using faults::SequenceOf;
using ipvs::Records;
using model::Kernel;
using model::MakeOperation;
using model::MakeVerdict;
using netlink::Outcome;
using netlink::Stage;
using netlink::Store;
using peer::Reply;

using Chance = std::mt19937;

size_t Below(Chance* chance, size_t limit) { return static_cast<size_t>((*chance)() % limit); }

// One kind of damage that the channel can do, at a place that chance chooses.
void SpoilByChance(Chance* chance, Replies* replies) {
  const auto below = [chance](size_t limit) { return Below(chance, limit); };
  if (replies->empty()) return;
  const auto place = replies->begin() + static_cast<std::ptrdiff_t>(below(replies->size()));
  switch (below(8)) {
    case 0:  // overflow: what follows is lost, and the error comes first
      replies->erase(place, replies->end());
      replies->insert(replies->begin(), Reply{{}, 0, ENOBUFS});
      return;
    case 1:
      replies->erase(place, replies->end());
      return;
    case 2:
      place->bytes.resize(1 + below(place->bytes.size() - 1));
      return;
    case 3: {
      Reply lie = MakeVerdict(SequenceOf(*place), below(2) == 0 ? 0 : EPERM);
      lie.port = kStranger;
      replies->insert(place, lie);
      return;
    }
    case 4: {
      Reply other = MakeVerdict(SequenceOf(*place) + 500, 0);
      replies->insert(place, other);
      return;
    }
    case 5: {
      const Reply again = *place;
      replies->push_back(again);
      return;
    }
    case 6:
      replies->insert(place, Reply{{}, 0, EIO});
      return;
    default:
      return;  // nothing happens
  }
}

struct Change {
  ipvs::Command command;
  ipvs::OperationKind kind;
};

// The first ones travel together in a send.
constexpr size_t kTogether = 5;
constexpr Change kChanges[] = {
    {ipvs::kNewService, ipvs::kPlain},        {ipvs::kSetService, ipvs::kPlain},
    {ipvs::kDelService, ipvs::kPlain},        {ipvs::kNewDest, ipvs::kPlain},
    {ipvs::kDelDest, ipvs::kPlain},           {ipvs::kSetService, ipvs::kPatch},
    {ipvs::kNewService, ipvs::kEditIfExists}, {ipvs::kNewDest, ipvs::kEditIfExists},
    {ipvs::kDelDaemon, ipvs::kPlain},
};

constexpr uint32_t kMaster = 1;
constexpr uint32_t kOfDaemon = 0;  // what the model takes for the mark of a change of a daemon

// One change of one call, each of which has a mark of its own.
struct Planned {
  Change change;
  uint32_t fwmark;
};

std::vector<Planned> Plan(Chance* chance) {
  std::vector<Planned> planned;
  const size_t count = 1 + Below(chance, 8);
  bool stops = false;
  while (planned.size() < count) {
    const size_t choices = Below(chance, 2) == 0 ? kTogether : std::size(kChanges);
    const Change change = kChanges[Below(chance, choices)];
    const bool is_stop = change.command == ipvs::kDelDaemon;
    if (is_stop && stops) continue;
    stops = stops || is_stop;
    const auto fwmark = static_cast<uint32_t>(planned.size() + 1);
    planned.push_back({change, is_stop ? kOfDaemon : fwmark});
  }
  return planned;
}

Records Write(const std::vector<Planned>& planned) {
  Records operations;
  for (const Planned& each : planned) {
    Records one = MakeOperation(each.change.command, each.fwmark);
    Store<uint32_t>(&one[offsetof(ipvs::OperationHeader, kind)], each.change.kind);
    if (each.fwmark == kOfDaemon) {
      uint8_t* daemon = &one[ipvs::OperationServiceOffset()];
      std::fill_n(daemon, ipvs::kServiceTable.config_size, uint8_t{0});
      Store<uint32_t>(daemon, 1);  // the row of the state is present
      Store<uint32_t>(daemon + offsetof(ipvs::DaemonRecord, state), kMaster);
    }
    operations.insert(operations.end(), one.begin(), one.end());
  }
  return operations;
}

// A kernel whose table others change, too, whose module is reloaded, and that refuses by chance.
void MisbehaveByChance(Chance* chance, Kernel* kernel) {
  const auto refused = static_cast<uint32_t>((*chance)());
  kernel->refuse = [=](uint32_t fwmark) {
    if (fwmark != kOfDaemon) return (refused >> fwmark % 32 & 1) != 0 ? EINVAL : 0;
    const size_t what = Below(chance, 3);
    if (what == 0) return EPERM;
    kernel->daemons.clear();
    return what == 1 ? EINTR : 0;  // EINTR: stopped, and nothing is said
  };
  kernel->fail_send = [=] {
    if (Below(chance, 8) == 0) kernel->services[1 + (*chance)() % 8] = Below(chance, 2) == 0;
    if (Below(chance, 16) == 0) ++kernel->family;
    return Below(chance, 16) == 0 ? ENOMEM : 0;
  };
  kernel->spoil = [=](Replies* replies) { SpoilByChance(chance, replies); };
}

// The kernel, and what befalls the opening of sockets and the answers about the family's number.
peer::Script PlayByChance(Chance* chance, Kernel* kernel) {
  peer::Script script = kernel->script();
  script.open = [=](int) { return Below(chance, 16) == 0 ? EMFILE : 0; };
  script.answer = [=, answer = script.answer](netlink::Bytes sent, Replies* replies) {
    const int error = answer(sent, replies);
    const auto type = netlink::Load<uint16_t>(sent.data + offsetof(nlmsghdr, nlmsg_type));
    if (type == GENL_ID_CTRL && Below(chance, 4) == 0) SpoilByChance(chance, replies);
    return error;
  };
  return script;
}

bool IsDone(const model::Execution& each) {
  return each.error == 0 || (each.fwmark == kOfDaemon && each.error == EINTR);
}

// What is reported as done was done, and what is reported as refused was refused so. What is
// reported to have stopped on its way there changed nothing. All else is unknown, and nothing is
// done twice. What alone was sent and refused with ENOENT may be sent again under another number.
void HoldAgainst(const Kernel& kernel, const Planned& planned, const Outcome& told) {
  std::vector<int> answered;
  std::ptrdiff_t done = 0;
  for (const model::Execution& each : kernel.executed) {
    if (each.fwmark != planned.fwmark) continue;
    answered.push_back(each.error);
    done += IsDone(each) ? 1 : 0;
  }
  Check(done <= 1, "nothing is carried out twice");
  const auto missing = std::count(answered.begin(), answered.end(), ENOENT);
  const auto others = static_cast<std::ptrdiff_t>(answered.size()) - missing;
  const bool is_plain = planned.change.kind == ipvs::kPlain;
  Check(!is_plain || others <= 1, "nor sent twice");
  if (told.stage == Stage::kReply) return;
  Check(done == (told.ok() ? 1 : 0), "what is done was done, and nothing else: " + Describe(told));
  if (told.stage == Stage::kKernel) {
    const bool is_of_reading = planned.change.kind == ipvs::kPatch && answered.empty();
    const auto so = std::count(answered.begin(), answered.end(), told.error);
    Check(is_of_reading ? told.error == ESRCH : so > 0,
          "what is refused was refused so: " + Describe(told));
  } else if (!told.ok()) {
    Check(!is_plain || others == 0, "what did not get there did not arrive: " + Describe(told));
  }
}

void CheckRecovered(ipvs::Client* client, Kernel* kernel) {
  kernel->refuse = [](uint32_t) { return 0; };
  kernel->fail_send = [] { return 0; };
  kernel->spoil = [](Replies*) {};
  peer::Play(kernel->script());
  std::vector<Outcome> told;
  client->Apply(MakeOperation(ipvs::kZero, 1), &told);
  Check(told.front().ok(), "after any of them the next change works: " + Describe(told.front()));
  Records services;
  Check(client->ReadServices(&services).ok(), "and the next read");
  const auto present = std::count_if(kernel->services.begin(), kernel->services.end(),
                                     [](const auto& each) { return each.second; });
  Check(services.size() == static_cast<size_t>(present) * ipvs::kServiceTable.record_size,
        "and reads what is there");
}

void TestChance() {
  constexpr int kTrials = 3000;
  Chance chance(20261122);
  std::map<Stage, size_t> told_so;
  size_t all = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    Kernel kernel;
    MisbehaveByChance(&chance, &kernel);
    peer::Play(PlayByChance(&chance, &kernel));
    ipvs::Client client(nullptr, 2);
    for (int call = 0; call < 3; ++call) {
      kernel.daemons = {kMaster};
      kernel.executed.clear();
      const std::vector<Planned> planned = Plan(&chance);
      std::vector<Outcome> told;
      client.Apply(Write(planned), &told);
      Check(told.size() == planned.size(), "each change has an outcome");
      for (size_t i = 0; i < told.size(); ++i) {
        HoldAgainst(kernel, planned[i], told[i]);
        ++told_so[told[i].stage];
      }
      all += told.size();
    }
    CheckRecovered(&client, &kernel);
  }
  std::cout << all << " changes in " << kTrials << " trials:";
  for (const auto& [stage, count] : told_so) {
    std::cout << " " << count << " of stage " << static_cast<int>(stage);
  }
  std::cout << "\n";
  for (const Stage stage : {Stage::kNone, Stage::kFamily, Stage::kSend, Stage::kReply,
                            Stage::kKernel, Stage::kSocket}) {
    Check(told_so[stage] > all / 100 && told_so[stage] < all / 2, "the chances are as meant");
  }
}

}  // namespace

int main() {
  faults::Run({
      TEST(Chance),
  });
}
