// The backend "openvino": CPU, by the libopenvino_c.so of the Python wheel. It computes in bfloat16 where the
// processor has units for that (AMX, AVX-512 BF16), else in float32; the model's parameters set what differs:
// INFERENCE_PRECISION_HINT (f32, bf16), INFERENCE_NUM_THREADS.
#include "backend.h"

namespace {
namespace ov {

struct Shape {
  int64_t rank;
  int64_t* dims;
};

void* library;
void* core;

// A function of the library by its name; its arguments are those of OpenVINO's C interface.
template <class Result = int, class... Args>
Result Call(const char* name, Args... args) {
  void* function = dlsym(library, name);
  if (function == nullptr) throw Failure{std::string("this openvino lacks ") + name};
  return reinterpret_cast<Result (*)(Args...)>(function)(args...);
}

template <class... Args>
void Try(const char* name, Args... args) {
  int status = Call<int>(name, args...);
  if (status == 0) return;
  const char* last = Call<const char*>("ov_get_last_err_msg");
  throw Failure{std::string("openvino: ") + name + ": " + (last != nullptr ? last : std::to_string(status).c_str())};
}

// ov_element_type_e of version 2026, by Triton's numbers.
constexpr int kType[] = {0, 1, 16, 17, 18, 19, 7, 8, 9, 10, 3, 4, 5};

int TritonType(int type) {
  for (int t = 1; t <= 12; ++t)
    if (kType[t] == type) return t;
  throw Failure{"the model gives a tensor of a type that is not served"};
}

}  // namespace ov

struct OvEngine;

struct OvAnswer : Answer {
  OvEngine* engine;
  void* request;
  std::vector<void*> handles;
  ~OvAnswer() override;
};

struct OvEngine : Engine {
  void* compiled = nullptr;
  std::mutex lock;
  std::vector<void*> idle;  // a request keeps its buffers, so those that are done are used again

  ~OvEngine() override {
    for (void* request : idle) ov::Call<void>("ov_infer_request_free", request);
    if (compiled != nullptr) ov::Call<void>("ov_compiled_model_free", compiled);
  }

  void* Take() {
    std::lock_guard<std::mutex> held(lock);
    void* request = nullptr;
    if (idle.empty()) {
      ov::Try("ov_compiled_model_create_infer_request", static_cast<const void*>(compiled), &request);
    } else {
      request = idle.back();
      idle.pop_back();
    }
    return request;
  }

  std::unique_ptr<Answer> Run(const std::vector<Tensor>& given, const std::vector<std::string>& outputs) override {
    auto answer = std::make_unique<OvAnswer>();
    answer->engine = this;
    answer->request = Take();
    for (size_t k = 0; k < given.size(); ++k) {
      ov::Shape shape{int64_t(given[k].shape.size()), const_cast<int64_t*>(given[k].shape.data())};
      void* tensor;
      ov::Try("ov_tensor_create_from_host_ptr", ov::kType[given[k].type], shape, given[k].data, &tensor);
      answer->handles.push_back(tensor);
      ov::Try("ov_infer_request_set_tensor", answer->request, inputs[k].c_str(), static_cast<const void*>(tensor));
    }
    ov::Try("ov_infer_request_infer", answer->request);
    for (const std::string& name : outputs) {
      void* tensor;
      ov::Try("ov_infer_request_get_tensor", static_cast<const void*>(answer->request), name.c_str(), &tensor);
      answer->handles.push_back(tensor);
      int type;
      ov::Shape shape;
      Tensor t;
      ov::Try("ov_tensor_get_element_type", static_cast<const void*>(tensor), &type);
      ov::Try("ov_tensor_get_shape", static_cast<const void*>(tensor), &shape);
      t.shape.assign(shape.dims, shape.dims + shape.rank);
      ov::Try("ov_shape_free", &shape);
      ov::Try("ov_tensor_data", static_cast<const void*>(tensor), &t.data);
      t.type = ov::TritonType(type);
      answer->tensors.push_back(std::move(t));
    }
    return answer;
  }
};

OvAnswer::~OvAnswer() {
  for (void* handle : handles) ov::Call<void>("ov_tensor_free", handle);
  std::lock_guard<std::mutex> held(engine->lock);
  engine->idle.push_back(request);
}

std::string Start() {
  const char* path = getenv("ROOMVIZ_OPENVINO_LIBRARY");
  ov::library = dlopen(path != nullptr ? path : "libopenvino_c.so", RTLD_NOW | RTLD_LOCAL);
  if (ov::library == nullptr) throw Failure{dlerror()};
  struct {
    const char *build, *description;
  } version{};
  ov::Try("ov_get_openvino_version", static_cast<void*>(&version));
  std::string text = std::string("openvino ") + version.build + ", CPU";
  ov::Call<void>("ov_version_free", static_cast<void*>(&version));
  ov::Try("ov_core_create", &ov::core);
  return text;
}

std::unique_ptr<Engine> Open(const std::string& path, const std::string& config) {
  auto engine = std::make_unique<OvEngine>();
  std::string precision = Parameter(config, "INFERENCE_PRECISION_HINT"), threads = Parameter(config, "INFERENCE_NUM_THREADS");
  // Keys and values in turn; an empty precision leaves the choice to the plug-in.
  const char* device = "CPU";
  const char *hint = "PERFORMANCE_HINT", *latency = "LATENCY", *count = "INFERENCE_NUM_THREADS", *kind = "INFERENCE_PRECISION_HINT";
  if (threads.empty()) threads = "0";
  auto compile = reinterpret_cast<int (*)(const void*, const char*, const char*, size_t, void**, ...)>(
      dlsym(ov::library, "ov_core_compile_model_from_file"));
  if (compile == nullptr) throw Failure{"this openvino lacks ov_core_compile_model_from_file"};
  int status = precision.empty()
                   ? compile(ov::core, path.c_str(), device, 4, &engine->compiled, hint, latency, count, threads.c_str())
                   : compile(ov::core, path.c_str(), device, 6, &engine->compiled, hint, latency, count, threads.c_str(), kind, precision.c_str());
  if (status != 0) throw Failure{std::string("openvino: ") + ov::Call<const char*>("ov_get_last_err_msg")};
  size_t inputs;
  ov::Try("ov_compiled_model_inputs_size", static_cast<const void*>(engine->compiled), &inputs);
  for (size_t i = 0; i < inputs; ++i) {
    void* port;
    char* name;
    ov::Try("ov_compiled_model_input_by_index", static_cast<const void*>(engine->compiled), i, &port);
    ov::Try("ov_port_get_any_name", static_cast<const void*>(port), &name);
    engine->inputs.emplace_back(name);
    ov::Call<void>("ov_free", static_cast<const char*>(name));
    ov::Call<void>("ov_output_const_port_free", port);
  }
  return engine;
}

}  // namespace
