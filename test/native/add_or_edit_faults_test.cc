// An addition that edits what is there is two requests: what goes wrong at either, and between
// them.

#include <algorithm>
#include <cerrno>

#include "faults.h"

namespace {

using faults::Bed;
using faults::Check;
using faults::Describe;
using faults::Is;
using faults::kStranger;
using faults::Replies;
using faults::SequenceOf;
using ipvs::Command;
using ipvs::Records;
using netlink::Outcome;
using netlink::Stage;
using peer::Reply;

constexpr uint32_t kMark = 1;

// What the kernel has of the one kind and of the other.
struct Kind {
  Command add;
  Command edit;
  std::map<uint32_t, bool> model::Kernel::*table;
};

constexpr Kind kKinds[] = {
    {ipvs::kNewService, ipvs::kSetService, &model::Kernel::services},
    {ipvs::kNewDest, ipvs::kSetDest, &model::Kernel::destinations},
};

Records MakeAddOrEdit(Command command) {
  Records operation = model::MakeOperation(command, kMark);
  netlink::Store<uint32_t>(&operation[offsetof(ipvs::OperationHeader, kind)], ipvs::kEditIfExists);
  return operation;
}

// A kernel that has the entry or not, and counts what it is sent.
struct Trial {
  const Kind& kind;
  Bed bed;
  int sends = 0;  // but for those that ask for the family's number

  Trial(const Kind& of, bool is_there) : kind(of) {
    SetThere(is_there);
    Check(bed.Apply({800}, ipvs::kZero).front().ok(), "before");
    bed.kernel.executed.clear();
  }

  void SetThere(bool is_there) { (bed.kernel.*kind.table)[kMark] = is_there; }

  // `spoil` gets the replies to the first, the second and so on.
  void Spoil(const std::function<void(int nth, Replies*)>& spoil) {
    bed.kernel.spoil = [this, spoil](Replies* replies) { spoil(++sends, replies); };
  }

  // Two changes, of which the second is another's.
  std::vector<Outcome> Apply() {
    Records operations = MakeAddOrEdit(kind.add);
    const Records other = model::MakeOperation(ipvs::kZero, 2);
    operations.insert(operations.end(), other.begin(), other.end());
    std::vector<Outcome> told;
    bed.client.Apply(operations, &told);
    return told;
  }

  // The commands that arrived, and what became of each.
  void CheckExecuted(const std::vector<std::pair<Command, int>>& expected, const char* what) const {
    std::vector<std::pair<Command, int>> found;
    for (const model::Execution& each : bed.kernel.executed) {
      if (each.fwmark != kMark) continue;
      found.emplace_back(static_cast<Command>(each.command), each.error);
    }
    Check(found == expected, what);
  }

  bool IsOtherDone() const {
    return std::any_of(bed.kernel.executed.begin(), bed.kernel.executed.end(),
                       [](const model::Execution& each) { return each.fwmark == 2; });
  }
};

void ForBoth(bool is_there, const std::function<void(Trial*)>& run) {
  for (const Kind& kind : kKinds) {
    Trial trial(kind, is_there);
    run(&trial);
    trial.bed.Recovers();
  }
}

void TestWithoutFault() {
  ForBoth(false, [](Trial* trial) {
    Check(trial->Apply().front().ok(), "what is not there is added");
    trial->CheckExecuted({{trial->kind.add, 0}}, "and not edited");
    trial->bed.kernel.executed.clear();
    Check(trial->Apply().front().ok(), "what is there is edited");
    trial->CheckExecuted({{trial->kind.add, EEXIST}, {trial->kind.edit, 0}}, "once");
  });
}

// How replies are lost: nothing comes, or the kernel says that they are.
struct Loss {
  int error;
  Replies instead;
};

std::vector<Loss> Losses() { return {{ETIMEDOUT, {}}, {ENOBUFS, {Reply{{}, 0, ENOBUFS}}}}; }

// A silent kernel is sent no more; one that lost replies is.
void CheckUnknown(const Trial& trial, const std::vector<Outcome>& told, int error) {
  Check(Is(told[0], Stage::kReply, error), "it is unknown: " + Describe(told[0]));
  const bool is_silent = error == ETIMEDOUT;
  Check(is_silent ? Is(told[1], Stage::kSend, ECANCELED) : told[1].ok(),
        "the next one: " + Describe(told[1]));
  Check(trial.IsOtherDone() != is_silent, "and it is true");
}

void TestLostAtTheAddition() {
  for (const Loss& loss : Losses()) {
    for (const bool is_there : {false, true}) {
      ForBoth(is_there, [&](Trial* trial) {
        trial->Spoil([&](int nth, Replies* replies) {
          if (nth == 1) *replies = loss.instead;
        });
        CheckUnknown(*trial, trial->Apply(), loss.error);
        trial->CheckExecuted({{trial->kind.add, is_there ? EEXIST : 0}}, "nothing more is tried");
      });
    }
  }
}

void TestLostAtTheEdit() {
  for (const Loss& loss : Losses()) {
    ForBoth(true, [&](Trial* trial) {
      trial->Spoil([&](int nth, Replies* replies) {
        if (nth == 2) *replies = loss.instead;
      });
      CheckUnknown(*trial, trial->Apply(), loss.error);
      trial->CheckExecuted({{trial->kind.add, EEXIST}, {trial->kind.edit, 0}},
                           "it was edited, once");
    });
  }
}

// Somebody deletes it before each edit and adds it again before the next addition, so many times;
// after the last it is there or not.
void VanishAndAdd(int times, bool comes_back, Trial* trial) {
  constexpr int kTries = 4;
  const int missing = trial->kind.add == ipvs::kNewService ? ESRCH : ENOENT;
  trial->Spoil([=](int nth, Replies*) {
    const int last = times * 2;
    if (nth <= last) trial->SetThere(nth % 2 == 0 && (nth < last || comes_back));
  });
  const std::vector<Outcome> told = trial->Apply();
  std::vector<std::pair<Command, int>> expected;
  for (int i = 0; i < std::min(times, kTries); ++i) {
    expected.emplace_back(trial->kind.add, EEXIST);
    expected.emplace_back(trial->kind.edit, missing);
  }
  if (times >= kTries) {
    Check(Is(told[0], Stage::kKernel, EEXIST), "it is given up: " + Describe(told[0]));
  } else {
    Check(told[0].ok(), "it is done: " + Describe(told[0]));
    expected.emplace_back(trial->kind.add, comes_back ? EEXIST : 0);
    if (comes_back) expected.emplace_back(trial->kind.edit, 0);
  }
  trial->CheckExecuted(expected, "once, or not at all");
  Check(told[1].ok(), "and the next one is done: " + Describe(told[1]));
}

void TestVanishes() {
  for (const int times : {1, 2, 3, 4, 1000}) {
    for (const bool comes_back : {true, false}) {
      ForBoth(true, [=](Trial* trial) { VanishAndAdd(times, comes_back, trial); });
    }
  }
}

// The module comes back under another number: before the addition, before the edit, before both.
void TestReloaded() {
  for (const int before : {1, 2, 3}) {
    ForBoth(true, [&](Trial* trial) {
      if ((before & 1) != 0) ++trial->bed.kernel.family;
      bool is_reloaded = (before & 2) == 0;
      trial->Spoil([&](int, Replies*) {
        const bool now = !is_reloaded && !trial->bed.kernel.executed.empty();
        if (now) ++trial->bed.kernel.family;
        is_reloaded = is_reloaded || now;
      });
      const std::vector<Outcome> told = trial->Apply();
      Check(is_reloaded && told[0].ok() && told[1].ok(), "it is done: " + Describe(told[0]));
      trial->CheckExecuted({{trial->kind.add, EEXIST}, {trial->kind.edit, 0}}, "once");
    });
  }
}

// What a real module does: its table is empty then.
void TestReloadedWithoutEntry() {
  ForBoth(true, [](Trial* trial) {
    trial->Spoil([&](int nth, Replies*) {
      if (nth != 1) return;
      ++trial->bed.kernel.family;
      trial->SetThere(false);
    });
    const std::vector<Outcome> told = trial->Apply();
    Check(told[0].ok() && told[1].ok(), "it is done: " + Describe(told[0]));
    const int missing = trial->kind.add == ipvs::kNewService ? ESRCH : ENOENT;
    trial->CheckExecuted(
        {{trial->kind.add, EEXIST}, {trial->kind.edit, missing}, {trial->kind.add, 0}}, "once");
  });
}

void TestUnloaded() {
  ForBoth(true, [](Trial* trial) {
    trial->Spoil([&](int nth, Replies*) {
      if (nth == 1) trial->bed.kernel.family = 0;
    });
    const std::vector<Outcome> told = trial->Apply();
    for (const Outcome& each : told) {
      Check(Is(each, Stage::kFamily, ENOENT), "it is not there: " + Describe(each));
    }
    trial->CheckExecuted({{trial->kind.add, EEXIST}}, "nothing was changed");
    trial->bed.kernel.family = 40;
  });
}

void TestRefusedOtherwise() {
  for (const int at : {1, 2}) {
    for (const int error : {EPERM, EINVAL, at == 1 ? ENOENT : EEXIST}) {
      ForBoth(true, [&](Trial* trial) {
        int asked = 0;
        trial->bed.kernel.refuse = [&](uint32_t fwmark) {
          return fwmark == kMark && ++asked == at ? error : 0;
        };
        const std::vector<Outcome> told = trial->Apply();
        Check(Is(told[0], Stage::kKernel, error), "the refusal is told: " + Describe(told[0]));
        Check(told[1].ok(), "and the next one is done");
        if (at == 1) trial->CheckExecuted({{trial->kind.add, error}}, "no edit is tried");
        if (at == 2) {
          trial->CheckExecuted({{trial->kind.add, EEXIST}, {trial->kind.edit, error}},
                               "none is done");
        }
      });
    }
  }
}

void TestEditIsNotSent() {
  ForBoth(true, [](Trial* trial) {
    trial->bed.kernel.fail_send = [trial] {
      return trial->bed.kernel.executed.size() == 1 ? ENOMEM : 0;
    };
    const Outcome told = trial->Apply().front();
    Check(Is(told, Stage::kSend, ENOMEM), "it is not sent: " + Describe(told));
    trial->CheckExecuted({{trial->kind.add, EEXIST}}, "nothing was changed");
  });
}

// Neither somebody else's word nor that of an earlier request makes an edit of an addition.
void TestOnlyTheKernelIsBelieved() {
  for (const bool is_there : {false, true}) {
    ForBoth(is_there, [&](Trial* trial) {
      trial->Spoil([](int, Replies* replies) {
        Replies spoilt;
        for (const Reply& reply : *replies) {
          for (const int forged : {0, EEXIST, ENOENT, ESRCH}) {
            spoilt.push_back(model::MakeVerdict(SequenceOf(reply), forged));
            spoilt.back().port = kStranger;
          }
          spoilt.push_back(reply);
          spoilt.push_back(reply);
        }
        *replies = spoilt;
      });
      const std::vector<Outcome> told = trial->Apply();
      Check(told[0].ok() && told[1].ok(), "it is done: " + Describe(told[0]));
      if (is_there) {
        trial->CheckExecuted({{trial->kind.add, EEXIST}, {trial->kind.edit, 0}}, "once");
      } else {
        trial->CheckExecuted({{trial->kind.add, 0}}, "once");
      }
    });
  }
}

}  // namespace

int main() {
  faults::Run({
      TEST(WithoutFault),
      TEST(LostAtTheAddition),
      TEST(LostAtTheEdit),
      TEST(Vanishes),
      TEST(Reloaded),
      TEST(ReloadedWithoutEntry),
      TEST(Unloaded),
      TEST(RefusedOtherwise),
      TEST(EditIsNotSent),
      TEST(OnlyTheKernelIsBelieved),
  });
}
