#include "worker.h"

#include <string>
#include <utility>

#include "threads.h"

namespace {

class Task : public Job {
 public:
  Task(Napi::Env env, std::function<void()> work, std::function<Napi::Value(Napi::Env)> finish)
      : promise_(Napi::Promise::Deferred::New(env)),
        work_(std::move(work)),
        finish_(std::move(finish)) {}

  Napi::Promise promise() const { return promise_.Promise(); }

  // Nothing of it was done.
  void Refuse(Napi::Env env, int error) {
    const Napi::Error refusal = Napi::Error::New(env, "no thread could be started");
    refusal.Set("errno", Napi::Number::New(env, error));
    promise_.Reject(refusal.Value());
  }

  void Work() override {
    try {
      work_();
    } catch (const std::exception& error) {
      failure_ = error.what();
      if (failure_.empty()) failure_ = "failed";
    }
  }

  void Finish(Napi::Env env) override {
    try {
      if (!failure_.empty()) throw Napi::Error::New(env, failure_);
      promise_.Resolve(finish_(env));
    } catch (const Napi::Error& error) {
      promise_.Reject(error.Value());
    } catch (const std::exception& error) {
      promise_.Reject(Napi::Error::New(env, error.what()).Value());
    }
  }

 private:
  Napi::Promise::Deferred promise_;
  std::function<void()> work_;
  std::function<Napi::Value(Napi::Env)> finish_;
  std::string failure_;
};

}  // namespace

Napi::Promise RunOnWorker(Napi::Env env, std::function<void()> work,
                          std::function<Napi::Value(Napi::Env)> finish) {
  auto task = std::make_unique<Task>(env, std::move(work), std::move(finish));
  Napi::Promise promise = task->promise();
  std::unique_ptr<Job> job = std::move(task);
  const int error = Threads::Of(env)->Queue(&job);
  if (error != 0) static_cast<Task*>(job.get())->Refuse(env, error);
  return promise;
}
