// The backend "onnxruntime": CPU, by the libonnxruntime.so of the Python wheel, whose interface is an
// append-only table of functions.
#include "backend.h"

namespace {

// --- ONNX Runtime: positions in the OrtApi table, which only ever grows -----------------------------
namespace ort {

enum Position {
  kGetErrorMessage = 2,
  kCreateEnv = 3,
  kCreateSession = 7,
  kRun = 9,
  kCreateSessionOptions = 10,
  kSetSessionLogSeverityLevel = 22,
  kSetIntraOpNumThreads = 24,
  kSetInterOpNumThreads = 25,
  kSessionGetInputCount = 30,
  kSessionGetInputName = 36,
  kCreateTensorWithData = 49,
  kGetTensorMutableData = 51,
  kGetTensorElementType = 60,
  kGetDimensionsCount = 61,
  kGetDimensions = 62,
  kGetTensorTypeAndShape = 65,
  kCreateCpuMemoryInfo = 69,
  kAllocatorFree = 76,
  kGetAllocator = 78,
  kReleaseStatus = 93,
  kReleaseSession = 95,
  kReleaseValue = 96,
  kReleaseTensorTypeAndShapeInfo = 99,
  kReleaseSessionOptions = 100,
};

struct Status;
struct Base {
  const void* (*api)(uint32_t);
  const char* (*version)();
};

constexpr uint32_t kApiVersion = 17;
void* const* table;
void *environment, *cpu, *allocator;

template <class Result, class... Args>
Result Call(Position position, Args... args) {
  return reinterpret_cast<Result (*)(Args...)>(table[position])(args...);
}

template <class... Args>
void Try(Position position, Args... args) {
  Status* status = Call<Status*>(position, args...);
  if (status == nullptr) return;
  std::string message = Call<const char*>(kGetErrorMessage, static_cast<const Status*>(status));
  Call<void>(kReleaseStatus, status);
  throw Failure{"onnxruntime: " + message};
}

struct Value {
  void* handle = nullptr;
  Value() = default;
  Value(const Value&) = delete;
  Value(Value&& other) noexcept : handle(std::exchange(other.handle, nullptr)) {}
  ~Value() {
    if (handle != nullptr) Call<void>(kReleaseValue, handle);
  }
};

}  // namespace ort

// ONNX's tensor types, by Triton's numbers.
constexpr int kOnnxType[] = {0, 9, 2, 4, 12, 13, 3, 5, 6, 7, 10, 1, 11};

int TritonType(int onnx) {
  for (int t = 1; t <= 12; ++t)
    if (kOnnxType[t] == onnx) return t;
  throw Failure{"the model gives a tensor of a type that is not served"};
}

struct OrtAnswer : Answer {
  std::vector<ort::Value> values;
};

struct OrtEngine : Engine {
  void* session = nullptr;
  ~OrtEngine() override {
    if (session != nullptr) ort::Call<void>(ort::kReleaseSession, session);
  }

  std::unique_ptr<Answer> Run(const std::vector<Tensor>& given, const std::vector<std::string>& outputs) override {
    std::vector<ort::Value> values(given.size());
    std::vector<const char*> input_names, output_names;
    std::vector<const void*> handles;
    for (size_t k = 0; k < given.size(); ++k) {
      const Tensor& t = given[k];
      size_t bytes = kTypeBytes[t.type];
      for (int64_t d : t.shape) bytes *= size_t(d);
      ort::Try(ort::kCreateTensorWithData, static_cast<const void*>(ort::cpu), t.data, bytes, static_cast<const int64_t*>(t.shape.data()),
               t.shape.size(), kOnnxType[t.type], &values[k].handle);
      input_names.push_back(inputs[k].c_str());
      handles.push_back(values[k].handle);
    }
    for (const std::string& name : outputs) output_names.push_back(name.c_str());
    std::vector<void*> raw(outputs.size(), nullptr);
    ort::Try(ort::kRun, session, static_cast<const void*>(nullptr), static_cast<const char* const*>(input_names.data()),
             static_cast<const void* const*>(handles.data()), handles.size(), static_cast<const char* const*>(output_names.data()),
             output_names.size(), raw.data());
    auto answer = std::make_unique<OrtAnswer>();
    answer->values.resize(raw.size());
    for (size_t i = 0; i < raw.size(); ++i) answer->values[i].handle = raw[i];
    for (void* value : raw) {
      Tensor t;
      void* info;
      int type;
      size_t rank;
      ort::Try(ort::kGetTensorTypeAndShape, static_cast<const void*>(value), &info);
      ort::Try(ort::kGetTensorElementType, static_cast<const void*>(info), &type);
      ort::Try(ort::kGetDimensionsCount, static_cast<const void*>(info), &rank);
      t.shape.resize(rank);
      ort::Try(ort::kGetDimensions, static_cast<const void*>(info), t.shape.data(), rank);
      ort::Call<void>(ort::kReleaseTensorTypeAndShapeInfo, info);
      ort::Try(ort::kGetTensorMutableData, value, &t.data);
      t.type = TritonType(type);
      answer->tensors.push_back(std::move(t));
    }
    return answer;
  }
};

std::string Start() {
  const char* library = getenv("ROOMVIZ_ONNXRUNTIME_LIBRARY");
  void* handle = dlopen(library != nullptr ? library : "libonnxruntime.so.1", RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw Failure{dlerror()};
  auto base = reinterpret_cast<const ort::Base* (*)()>(dlsym(handle, "OrtGetApiBase"))();
  ort::table = static_cast<void* const*>(base->api(ort::kApiVersion));
  if (ort::table == nullptr) throw Failure{"this onnxruntime does not offer API version 17"};
  ort::Try(ort::kCreateEnv, 3, static_cast<const char*>("triton"), &ort::environment);
  ort::Try(ort::kCreateCpuMemoryInfo, 0, 0, &ort::cpu);
  ort::Try(ort::kGetAllocator, &ort::allocator);
  return std::string("onnxruntime ") + base->version() + ", CPU";
}

std::unique_ptr<Engine> Open(const std::string& path, const std::string& config) {
  auto engine = std::make_unique<OrtEngine>();
  void* options;
  ort::Try(ort::kCreateSessionOptions, &options);
  ort::Try(ort::kSetSessionLogSeverityLevel, options, 3);
  ort::Try(ort::kSetIntraOpNumThreads, options, atoi(Parameter(config, "intra_op_thread_count").c_str()));
  ort::Try(ort::kSetInterOpNumThreads, options, atoi(Parameter(config, "inter_op_thread_count").c_str()));
  ort::Try(ort::kCreateSession, static_cast<const void*>(ort::environment), path.c_str(), static_cast<const void*>(options),
           &engine->session);
  ort::Call<void>(ort::kReleaseSessionOptions, options);
  size_t inputs;
  ort::Try(ort::kSessionGetInputCount, static_cast<const void*>(engine->session), &inputs);
  for (size_t i = 0; i < inputs; ++i) {
    char* name;
    ort::Try(ort::kSessionGetInputName, static_cast<const void*>(engine->session), i, ort::allocator, &name);
    engine->inputs.emplace_back(name);
    ort::Try(ort::kAllocatorFree, ort::allocator, static_cast<void*>(name));
  }
  return engine;
}

}  // namespace
