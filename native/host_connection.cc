#include "host_connection.h"

#include <utility>

#include "host/sysctl.h"
#include "host/text_file.h"
#include "netlink/family.h"
#include "route/addresses.h"
#include "route/announce.h"
#include "route/fou.h"
#include "route/links.h"
#include "worker.h"

namespace {

using netlink::NetworkNamespace;
using netlink::Outcome;

struct TextState {
  Outcome outcome;
  std::string text;
};

Napi::Value GiveText(Napi::Env env, const TextState& state) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("failure", GiveOutcome(env, state.outcome));
  result.Set("value", state.text);
  return result;
}

// For what answers no more than an outcome.
Napi::Value RunForOutcome(Napi::Env env, const std::function<Outcome()>& work) {
  auto outcome = std::make_shared<Outcome>();
  return RunOnWorker(
      env, [outcome, work] { *outcome = work(); },
      [outcome](Napi::Env env) { return GiveOutcome(env, *outcome); });
}

route::FouPort TakeFouPort(const Napi::Value& port, const Napi::Value& family) {
  return {static_cast<uint8_t>(family.ToNumber().Uint32Value()),
          static_cast<uint16_t>(port.ToNumber().Uint32Value())};
}

}  // namespace

Napi::Function HostConnection::Define(Napi::Env env) {
  return DefineClass(env, "HostConnection",
                     {
                         InstanceMethod<&HostConnection::Open>("open"),
                         InstanceMethod<&HostConnection::ReadAddresses>("readAddresses"),
                         InstanceMethod<&HostConnection::ChangeAddresses>("changeAddresses"),
                         InstanceMethod<&HostConnection::Announce>("announce"),
                         InstanceMethod<&HostConnection::ReadLinks>("readLinks"),
                         InstanceMethod<&HostConnection::ChangeLink>("changeLink"),
                         InstanceMethod<&HostConnection::ReadFouPort>("readFouPort"),
                         InstanceMethod<&HostConnection::ChangeGuePort>("changeGuePort"),
                         InstanceMethod<&HostConnection::LoadFamily>("loadFamily"),
                         InstanceMethod<&HostConnection::ReadSetting>("readSetting"),
                         InstanceMethod<&HostConnection::ReadSettings>("readSettings"),
                         InstanceMethod<&HostConnection::WriteSetting>("writeSetting"),
                         InstanceMethod<&HostConnection::ReadText>("readText"),
                         InstanceMethod<&HostConnection::Close>("close"),
                     });
}

HostConnection::HostConnection(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<HostConnection>(info),
      choice_(std::make_unique<NamespaceChoice>(info[0])),
      silence_(info[1].ToNumber().Int32Value()) {}

std::shared_ptr<NetworkNamespace> HostConnection::where(Napi::Env env) const {
  if (!open_) throw Napi::Error::New(env, "the connection is not open");
  return where_;
}

Napi::Value HostConnection::Open(const Napi::CallbackInfo& info) {
  if (!choice_) throw Napi::Error::New(info.Env(), "the connection was opened already");
  struct State {
    Outcome outcome;
    std::shared_ptr<NetworkNamespace> where;
  };
  auto state = std::make_shared<State>();
  auto self = std::make_shared<Napi::ObjectReference>(Napi::Persistent(info.This().ToObject()));
  return RunOnWorker(
      info.Env(),
      [state, choice = std::shared_ptr<NamespaceChoice>(std::move(choice_))] {
        state->outcome = choice->Open(&state->where);
      },
      [state, self, this](Napi::Env env) {
        open_ = state->outcome.ok();
        where_ = state->where;
        self->Reset();
        return GiveOutcome(env, state->outcome);
      });
}

Napi::Value HostConnection::ReadAddresses(const Napi::CallbackInfo& info) {
  struct State {
    Outcome outcome;
    route::Records addresses;
  };
  auto state = std::make_shared<State>();
  return RunOnWorker(
      info.Env(),
      [state, device = TakeText(info[0]), where = where(info.Env()), silence = silence_] {
        state->outcome = route::ReadAddresses(where, device, silence, &state->addresses);
      },
      [state](Napi::Env env) {
        return GiveRecords(env, state->outcome, std::move(state->addresses));
      });
}

Napi::Value HostConnection::ChangeAddresses(const Napi::CallbackInfo& info) {
  auto outcomes = std::make_shared<std::vector<Outcome>>();
  return RunOnWorker(
      info.Env(),
      [outcomes, changes = TakeBytes(info[0], route::ChangeSize(), true), where = where(info.Env()),
       silence = silence_] { route::ChangeAddresses(where, changes, silence, outcomes.get()); },
      [outcomes](Napi::Env env) { return GiveOutcomes(env, *outcomes); });
}

Napi::Value HostConnection::Announce(const Napi::CallbackInfo& info) {
  auto outcomes = std::make_shared<std::vector<Outcome>>();
  return RunOnWorker(
      info.Env(),
      [outcomes, announcements = TakeBytes(info[0], route::ChangeSize(), true),
       where = where(info.Env()),
       silence = silence_] { route::Announce(where, announcements, silence, outcomes.get()); },
      [outcomes](Napi::Env env) { return GiveOutcomes(env, *outcomes); });
}

Napi::Value HostConnection::ReadLinks(const Napi::CallbackInfo& info) {
  struct State {
    Outcome outcome;
    route::Links links;
  };
  auto state = std::make_shared<State>();
  return RunOnWorker(
      info.Env(),
      [state, where = where(info.Env()), silence = silence_] {
        state->outcome = route::ReadLinks(where, silence, &state->links);
      },
      [state](Napi::Env env) {
        const auto* first = reinterpret_cast<const uint8_t*>(state->links.data());
        const size_t size = state->links.size() * sizeof(route::LinkRecord);
        return GiveRecords(env, state->outcome, {first, first + size});
      });
}

Napi::Value HostConnection::ChangeLink(const Napi::CallbackInfo& info) {
  route::LinkChange change;
  change.verb = static_cast<route::LinkVerb>(info[0].ToNumber().Uint32Value());
  change.device = TakeText(info[1]);
  change.kind = TakeText(info[2]);
  change.parent = TakeText(info[3]);
  return RunForOutcome(info.Env(), [change, where = where(info.Env()), silence = silence_] {
    return route::ChangeLink(where, change, silence);
  });
}

Napi::Value HostConnection::ReadFouPort(const Napi::CallbackInfo& info) {
  struct State {
    Outcome outcome;
    route::Encapsulation found = route::Encapsulation::kNone;
  };
  auto state = std::make_shared<State>();
  return RunOnWorker(
      info.Env(),
      [state, port = TakeFouPort(info[0], info[1]), where = where(info.Env()), silence = silence_] {
        state->outcome = route::ReadFouPort(where, port, silence, &state->found);
      },
      [state](Napi::Env env) -> Napi::Value {
        Napi::Object result = Napi::Object::New(env);
        result.Set("failure", GiveOutcome(env, state->outcome));
        result.Set("encapsulation", static_cast<uint32_t>(state->found));
        return result;
      });
}

Napi::Value HostConnection::ChangeGuePort(const Napi::CallbackInfo& info) {
  return RunForOutcome(
      info.Env(), [add = info[0].ToBoolean().Value(), port = TakeFouPort(info[1], info[2]),
                   where = where(info.Env()),
                   silence = silence_] { return route::ChangeGuePort(where, add, port, silence); });
}

Napi::Value HostConnection::LoadFamily(const Napi::CallbackInfo& info) {
  return RunForOutcome(info.Env(),
                       [name = TakeText(info[0]), where = where(info.Env()), silence = silence_] {
                         return netlink::LoadFamily(where, name, silence);
                       });
}

Napi::Value HostConnection::ReadSetting(const Napi::CallbackInfo& info) {
  auto state = std::make_shared<TextState>();
  return RunOnWorker(
      info.Env(),
      [state, name = TakeText(info[0]), where = where(info.Env())] {
        state->outcome = host::ReadSetting(where, name, &state->text);
      },
      [state](Napi::Env env) { return GiveText(env, *state); });
}

Napi::Value HostConnection::ReadSettings(const Napi::CallbackInfo& info) {
  struct State {
    Outcome outcome;
    host::Settings settings;
  };
  auto state = std::make_shared<State>();
  return RunOnWorker(
      info.Env(),
      [state, folder = TakeText(info[0]), where = where(info.Env())] {
        state->outcome = host::ReadSettings(where, folder, &state->settings);
      },
      [state](Napi::Env env) -> Napi::Value {
        Napi::Object values = Napi::Object::New(env);
        for (const auto& [name, value] : state->settings) values.Set(name, value);
        Napi::Object result = Napi::Object::New(env);
        result.Set("failure", GiveOutcome(env, state->outcome));
        result.Set("values", values);
        return result;
      });
}

Napi::Value HostConnection::WriteSetting(const Napi::CallbackInfo& info) {
  return RunForOutcome(
      info.Env(), [name = TakeText(info[0]), value = TakeText(info[1]), where = where(info.Env())] {
        return host::WriteSetting(where, name, value);
      });
}

Napi::Value HostConnection::ReadText(const Napi::CallbackInfo& info) {
  auto state = std::make_shared<TextState>();
  return RunOnWorker(
      info.Env(),
      [state, name = TakeText(info[0]), where = where(info.Env())] {
        state->outcome = host::ReadText(where, name, &state->text);
      },
      [state](Napi::Env env) { return GiveText(env, *state); });
}

void HostConnection::Close(const Napi::CallbackInfo& /*info*/) {
  open_ = false;
  where_.reset();
}
