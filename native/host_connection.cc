#include "host_connection.h"

#include <linux/netlink.h>

#include <utility>

#include "host/sysctl.h"
#include "host/text_file.h"
#include "ipvs/protocol.h"
#include "netlink/family.h"
#include "route/addresses.h"
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

}  // namespace

Napi::Function HostConnection::Define(Napi::Env env) {
  return DefineClass(env, "HostConnection",
                     {
                         InstanceMethod<&HostConnection::Open>("open"),
                         InstanceMethod<&HostConnection::ReadAddresses>("readAddresses"),
                         InstanceMethod<&HostConnection::ChangeAddresses>("changeAddresses"),
                         InstanceMethod<&HostConnection::ReadSetting>("readSetting"),
                         InstanceMethod<&HostConnection::ReadSettings>("readSettings"),
                         InstanceMethod<&HostConnection::WriteSetting>("writeSetting"),
                         InstanceMethod<&HostConnection::ReadText>("readText"),
                         InstanceMethod<&HostConnection::LoadIpvs>("loadIpvs"),
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
      info.Env(), "ipvs-netlink:openHost",
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
      info.Env(), "ipvs-netlink:readAddresses",
      [state, device = TakeText(info[0]), where = where(info.Env()), silence = silence_] {
        state->outcome = route::ReadAddresses(where, device, silence, &state->addresses);
      },
      [state](Napi::Env env) { return GiveRecords(env, state->outcome, state->addresses); });
}

Napi::Value HostConnection::ChangeAddresses(const Napi::CallbackInfo& info) {
  auto outcomes = std::make_shared<std::vector<Outcome>>();
  return RunOnWorker(
      info.Env(), "ipvs-netlink:changeAddresses",
      [outcomes, changes = TakeBytes(info[0], route::ChangeSize(), true), where = where(info.Env()),
       silence = silence_] { route::ChangeAddresses(where, changes, silence, outcomes.get()); },
      [outcomes](Napi::Env env) { return GiveOutcomes(env, *outcomes); });
}

Napi::Value HostConnection::ReadSetting(const Napi::CallbackInfo& info) {
  auto state = std::make_shared<TextState>();
  return RunOnWorker(
      info.Env(), "ipvs-netlink:readSetting",
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
      info.Env(), "ipvs-netlink:readSettings",
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
  auto outcome = std::make_shared<Outcome>();
  return RunOnWorker(
      info.Env(), "ipvs-netlink:writeSetting",
      [outcome, name = TakeText(info[0]), value = TakeText(info[1]), where = where(info.Env())] {
        *outcome = host::WriteSetting(where, name, value);
      },
      [outcome](Napi::Env env) { return GiveOutcome(env, *outcome); });
}

Napi::Value HostConnection::ReadText(const Napi::CallbackInfo& info) {
  auto state = std::make_shared<TextState>();
  return RunOnWorker(
      info.Env(), "ipvs-netlink:readText",
      [state, name = TakeText(info[0]), where = where(info.Env())] {
        state->outcome = host::ReadText(where, name, &state->text);
      },
      [state](Napi::Env env) { return GiveText(env, *state); });
}

Napi::Value HostConnection::LoadIpvs(const Napi::CallbackInfo& info) {
  auto outcome = std::make_shared<Outcome>();
  return RunOnWorker(
      info.Env(), "ipvs-netlink:loadIpvs",
      [outcome, where = where(info.Env()), silence = silence_] {
        netlink::Socket socket;
        *outcome = netlink::Socket::Open(NETLINK_GENERIC, where, &socket);
        if (!outcome->ok()) return;
        uint16_t id = 0;
        *outcome =
            netlink::ResolveFamily(&socket, ipvs::kFamilyName, netlink::Deadline(silence), &id);
        if (!outcome->ok()) outcome->stage = netlink::Stage::kFamily;
      },
      [outcome](Napi::Env env) { return GiveOutcome(env, *outcome); });
}

void HostConnection::Close(const Napi::CallbackInfo& /*info*/) {
  open_ = false;
  where_.reset();
}
