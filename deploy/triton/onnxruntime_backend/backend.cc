// A Triton backend that answers to the name "onnxruntime", for machines without a container engine.
//
// The published server container has its own; this one serves the same model folders (config.pbtxt and
// 1/model.onnx) on CPU with the libonnxruntime.so of the Python wheel. It speaks the public C interfaces
// of both: the Triton backend API, and the ONNX Runtime API as its append-only table of functions. Only
// what is used is declared here.
//
// Input tensors of one batch are joined along the first axis when the model batches; outputs are split
// back by rows. Host memory only.
#include <dlfcn.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

extern "C" {
struct TRITONSERVER_Error;
struct TRITONSERVER_Message;
struct TRITONBACKEND_Backend;
struct TRITONBACKEND_Model;
struct TRITONBACKEND_ModelInstance;
struct TRITONBACKEND_Request;
struct TRITONBACKEND_Response;
struct TRITONBACKEND_Input;
struct TRITONBACKEND_Output;

using Error = TRITONSERVER_Error;
Error* TRITONSERVER_ErrorNew(int code, const char* message);
void TRITONSERVER_ErrorDelete(Error*);
const char* TRITONSERVER_ErrorMessage(Error*);
Error* TRITONSERVER_LogMessage(int level, const char* file, int line, const char* message);
Error* TRITONSERVER_MessageSerializeToJson(TRITONSERVER_Message*, const char** base, size_t* size);
Error* TRITONSERVER_MessageDelete(TRITONSERVER_Message*);
Error* TRITONBACKEND_ModelConfig(TRITONBACKEND_Model*, uint32_t version, TRITONSERVER_Message**);
Error* TRITONBACKEND_ModelRepository(TRITONBACKEND_Model*, int* artifact, const char** location);
Error* TRITONBACKEND_ModelVersion(TRITONBACKEND_Model*, uint64_t*);
Error* TRITONBACKEND_ModelState(TRITONBACKEND_Model*, void**);
Error* TRITONBACKEND_ModelSetState(TRITONBACKEND_Model*, void*);
Error* TRITONBACKEND_ModelInstanceModel(TRITONBACKEND_ModelInstance*, TRITONBACKEND_Model**);
Error* TRITONBACKEND_RequestInput(TRITONBACKEND_Request*, const char* name, TRITONBACKEND_Input**);
Error* TRITONBACKEND_InputProperties(TRITONBACKEND_Input*, const char** name, int* type, const int64_t** shape, uint32_t* rank,
                                     uint64_t* bytes, uint32_t* buffers);
Error* TRITONBACKEND_InputBuffer(TRITONBACKEND_Input*, uint32_t index, const void** data, uint64_t* bytes, int* memory, int64_t* id);
Error* TRITONBACKEND_RequestOutputCount(TRITONBACKEND_Request*, uint32_t*);
Error* TRITONBACKEND_RequestOutputName(TRITONBACKEND_Request*, uint32_t index, const char**);
Error* TRITONBACKEND_RequestRelease(TRITONBACKEND_Request*, uint32_t flags);
Error* TRITONBACKEND_ResponseNew(TRITONBACKEND_Response**, TRITONBACKEND_Request*);
Error* TRITONBACKEND_ResponseOutput(TRITONBACKEND_Response*, TRITONBACKEND_Output**, const char* name, int type, const int64_t* shape,
                                    uint32_t rank);
Error* TRITONBACKEND_OutputBuffer(TRITONBACKEND_Output*, void** data, uint64_t bytes, int* memory, int64_t* id);
Error* TRITONBACKEND_ResponseSend(TRITONBACKEND_Response*, uint32_t flags, Error*);
Error* TRITONBACKEND_ModelInstanceReportStatistics(TRITONBACKEND_ModelInstance*, TRITONBACKEND_Request*, bool ok, uint64_t start,
                                                   uint64_t compute_start, uint64_t compute_end, uint64_t end);
Error* TRITONBACKEND_ModelInstanceReportBatchStatistics(TRITONBACKEND_ModelInstance*, uint64_t batch, uint64_t start,
                                                        uint64_t compute_start, uint64_t compute_end, uint64_t end);
}

namespace {

constexpr int kInternal = 1, kLogInfo = 0, kGpuMemory = 2;
constexpr uint32_t kFinal = 1, kReleaseAll = 1, kJson = 1;

struct Failure {
  std::string message;
};

void Check(Error* error) {
  if (error == nullptr) return;
  std::string message = TRITONSERVER_ErrorMessage(error);
  TRITONSERVER_ErrorDelete(error);
  throw Failure{message};
}

uint64_t Now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return uint64_t(t.tv_sec) * 1000000000u + uint64_t(t.tv_nsec);
}

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

// --- types of the two worlds ------------------------------------------------------------------------
struct Type {
  int triton, onnx;
  size_t bytes;
};
constexpr Type kTypes[] = {{1, 9, 1}, {2, 2, 1}, {3, 4, 2}, {4, 12, 4}, {5, 13, 8},  {6, 3, 1},
                           {7, 5, 2}, {8, 6, 4}, {9, 7, 8}, {10, 10, 2}, {11, 1, 4}, {12, 11, 8}};

const Type& ByTriton(int code) {
  for (const Type& t : kTypes)
    if (t.triton == code) return t;
  throw Failure{"a tensor of this type is not served"};
}
const Type& ByOnnx(int code) {
  for (const Type& t : kTypes)
    if (t.onnx == code) return t;
  throw Failure{"the model gives a tensor of a type that is not served"};
}

struct Model {
  void* session = nullptr;
  bool batched = false;
  std::vector<std::string> inputs;
  ~Model() {
    if (session != nullptr) ort::Call<void>(ort::kReleaseSession, session);
  }
};

// The text after `"name":` in compact JSON; enough for the flat settings that we read.
std::string After(const std::string& json, const std::string& name) {
  size_t at = json.find("\"" + name + "\":");
  return at == std::string::npos ? "" : json.substr(at + name.size() + 3);
}

int ThreadCount(const std::string& json, const std::string& name) {
  std::string rest = After(After(json, name), "string_value");
  return rest.size() > 1 ? atoi(rest.c_str() + 1) : 0;
}

std::vector<std::string> RequestedOutputs(TRITONBACKEND_Request* request) {
  uint32_t count = 0;
  Check(TRITONBACKEND_RequestOutputCount(request, &count));
  std::vector<std::string> names(count);
  for (uint32_t i = 0; i < count; ++i) {
    const char* name;
    Check(TRITONBACKEND_RequestOutputName(request, i, &name));
    names[i] = name;
  }
  return names;
}

// One input of every request, joined along the first axis. A single buffer is used where it lies.
struct Joined {
  std::vector<char> storage;
  ort::Value tensor;
};

void Join(const Model& model, const std::string& name, TRITONBACKEND_Request** requests, uint32_t count, std::vector<int64_t>& rows,
          Joined& out) {
  struct Piece {
    const void* data;
    uint64_t bytes;
  };
  std::vector<Piece> pieces;
  std::vector<int64_t> shape;
  int type = 0;
  uint64_t total = 0;
  int64_t all_rows = 0;
  for (uint32_t r = 0; r < count; ++r) {
    TRITONBACKEND_Input* input;
    Check(TRITONBACKEND_RequestInput(requests[r], name.c_str(), &input));
    const char* ignored;
    const int64_t* dims;
    uint32_t rank, buffers;
    uint64_t bytes;
    Check(TRITONBACKEND_InputProperties(input, &ignored, &type, &dims, &rank, &bytes, &buffers));
    if (shape.empty())
      shape.assign(dims, dims + rank);
    else if (rank != shape.size() || !std::equal(shape.begin() + 1, shape.end(), dims + 1))
      throw Failure{"the requests of one batch differ in shape"};
    rows[r] = rank > 0 ? dims[0] : 1;
    all_rows += rows[r];
    for (uint32_t b = 0; b < buffers; ++b) {
      const void* data;
      uint64_t size;
      int memory = 0;
      int64_t id = 0;
      Check(TRITONBACKEND_InputBuffer(input, b, &data, &size, &memory, &id));
      if (memory == kGpuMemory) throw Failure{"this backend reads host memory only"};
      pieces.push_back({data, size});
      total += size;
    }
  }
  void* data = pieces.empty() ? nullptr : const_cast<void*>(pieces[0].data);
  if (pieces.size() != 1) {
    out.storage.resize(total);
    char* to = out.storage.data();
    for (const Piece& p : pieces) {
      memcpy(to, p.data, p.bytes);
      to += p.bytes;
    }
    data = out.storage.data();
  }
  if (model.batched && !shape.empty()) shape[0] = all_rows;
  ort::Try(ort::kCreateTensorWithData, static_cast<const void*>(ort::cpu), data, size_t(total), static_cast<const int64_t*>(shape.data()),
           shape.size(), ByTriton(type).onnx, &out.tensor.handle);
}

void Split(const Model& model, const char* name, void* value, TRITONBACKEND_Response** responses, uint32_t count,
           const std::vector<int64_t>& rows, const std::vector<std::vector<std::string>>& wanted) {
  void* info;
  ort::Try(ort::kGetTensorTypeAndShape, static_cast<const void*>(value), &info);
  int type_code;
  size_t rank;
  ort::Try(ort::kGetTensorElementType, static_cast<const void*>(info), &type_code);
  ort::Try(ort::kGetDimensionsCount, static_cast<const void*>(info), &rank);
  std::vector<int64_t> shape(rank);
  ort::Try(ort::kGetDimensions, static_cast<const void*>(info), shape.data(), rank);
  ort::Call<void>(ort::kReleaseTensorTypeAndShapeInfo, info);
  void* data;
  ort::Try(ort::kGetTensorMutableData, value, &data);
  const Type& type = ByOnnx(type_code);
  uint64_t row = type.bytes;
  for (size_t i = model.batched ? 1 : 0; i < rank; ++i) row *= uint64_t(shape[i]);
  const char* from = static_cast<const char*>(data);
  for (uint32_t r = 0; r < count; ++r) {
    uint64_t bytes = model.batched ? row * uint64_t(rows[r]) : row;
    if (std::find(wanted[r].begin(), wanted[r].end(), name) != wanted[r].end()) {
      if (model.batched) shape[0] = rows[r];
      TRITONBACKEND_Output* output;
      Check(TRITONBACKEND_ResponseOutput(responses[r], &output, name, type.triton, shape.data(), uint32_t(rank)));
      void* to;
      int memory = 0;
      int64_t id = 0;
      Check(TRITONBACKEND_OutputBuffer(output, &to, bytes, &memory, &id));
      if (memory == kGpuMemory) throw Failure{"this backend writes host memory only"};
      memcpy(to, from, bytes);
    }
    if (model.batched) from += bytes;
  }
}

void Execute(const Model& model, TRITONBACKEND_ModelInstance* instance, TRITONBACKEND_Request** requests, uint32_t count,
             TRITONBACKEND_Response** responses) {
  uint64_t start = Now();
  std::vector<int64_t> rows(count, 0);
  std::vector<Joined> joined(model.inputs.size());
  std::vector<const char*> input_names, output_names;
  std::vector<const void*> inputs;
  for (size_t k = 0; k < model.inputs.size(); ++k) {
    Join(model, model.inputs[k], requests, count, rows, joined[k]);
    input_names.push_back(model.inputs[k].c_str());
    inputs.push_back(joined[k].tensor.handle);
  }
  std::vector<std::vector<std::string>> wanted;
  for (uint32_t r = 0; r < count; ++r) {
    wanted.push_back(RequestedOutputs(requests[r]));
  }
  for (const auto& names : wanted)
    for (const std::string& name : names)
      if (std::none_of(output_names.begin(), output_names.end(), [&](const char* have) { return name == have; }))
        output_names.push_back(name.c_str());
  std::vector<void*> raw(output_names.size(), nullptr);
  uint64_t compute_start = Now();
  ort::Try(ort::kRun, model.session, static_cast<const void*>(nullptr), static_cast<const char* const*>(input_names.data()),
           static_cast<const void* const*>(inputs.data()), inputs.size(), static_cast<const char* const*>(output_names.data()),
           output_names.size(), raw.data());
  uint64_t compute_end = Now();
  std::vector<ort::Value> outputs(raw.size());
  for (size_t i = 0; i < raw.size(); ++i) outputs[i].handle = raw[i];
  for (size_t i = 0; i < raw.size(); ++i) Split(model, output_names[i], raw[i], responses, count, rows, wanted);
  uint64_t end = Now(), batch = 0;
  for (uint32_t r = 0; r < count; ++r) {
    batch += uint64_t(model.batched ? rows[r] : 1);
    TRITONBACKEND_ModelInstanceReportStatistics(instance, requests[r], true, start, compute_start, compute_end, end);
  }
  TRITONBACKEND_ModelInstanceReportBatchStatistics(instance, batch, start, compute_start, compute_end, end);
}

std::unique_ptr<Model> Load(TRITONBACKEND_Model* handle) {
  TRITONSERVER_Message* message;
  Check(TRITONBACKEND_ModelConfig(handle, kJson, &message));
  const char* base;
  size_t size;
  Check(TRITONSERVER_MessageSerializeToJson(message, &base, &size));
  std::string json(base, size);
  Check(TRITONSERVER_MessageDelete(message));

  int artifact;
  const char* folder;
  uint64_t version;
  Check(TRITONBACKEND_ModelRepository(handle, &artifact, &folder));
  Check(TRITONBACKEND_ModelVersion(handle, &version));
  std::string path = std::string(folder) + "/" + std::to_string(version) + "/model.onnx";

  auto model = std::make_unique<Model>();
  model->batched = atoi(After(json, "max_batch_size").c_str()) > 0;
  void* options;
  ort::Try(ort::kCreateSessionOptions, &options);
  ort::Try(ort::kSetSessionLogSeverityLevel, options, 3);
  ort::Try(ort::kSetIntraOpNumThreads, options, ThreadCount(json, "intra_op_thread_count"));
  ort::Try(ort::kSetInterOpNumThreads, options, ThreadCount(json, "inter_op_thread_count"));
  ort::Try(ort::kCreateSession, static_cast<const void*>(ort::environment), path.c_str(), static_cast<const void*>(options), &model->session);
  ort::Call<void>(ort::kReleaseSessionOptions, options);
  size_t inputs;
  ort::Try(ort::kSessionGetInputCount, static_cast<const void*>(model->session), &inputs);
  for (size_t i = 0; i < inputs; ++i) {
    char* name;
    ort::Try(ort::kSessionGetInputName, static_cast<const void*>(model->session), i, ort::allocator, &name);
    model->inputs.emplace_back(name);
    ort::Try(ort::kAllocatorFree, ort::allocator, static_cast<void*>(name));
  }
  return model;
}

template <class Body>
Error* Guard(Body body) {
  try {
    body();
    return nullptr;
  } catch (const Failure& failure) {
    return TRITONSERVER_ErrorNew(kInternal, failure.message.c_str());
  } catch (const std::exception& error) {
    return TRITONSERVER_ErrorNew(kInternal, error.what());
  }
}

}  // namespace

#define BACKEND_API extern "C" __attribute__((visibility("default"))) Error*

BACKEND_API TRITONBACKEND_Initialize(TRITONBACKEND_Backend*) {
  return Guard([] {
    const char* library = getenv("ROOMVIZ_ONNXRUNTIME_LIBRARY");
    void* handle = dlopen(library != nullptr ? library : "libonnxruntime.so.1", RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) throw Failure{dlerror()};
    auto base = reinterpret_cast<const ort::Base* (*)()>(dlsym(handle, "OrtGetApiBase"))();
    ort::table = static_cast<void* const*>(base->api(ort::kApiVersion));
    if (ort::table == nullptr) throw Failure{"this onnxruntime does not offer API version 17"};
    ort::Try(ort::kCreateEnv, 3, static_cast<const char*>("triton"), &ort::environment);
    ort::Try(ort::kCreateCpuMemoryInfo, 0, 0, &ort::cpu);
    ort::Try(ort::kGetAllocator, &ort::allocator);
    std::string text = std::string("onnxruntime ") + base->version() + ", CPU";
    TRITONSERVER_LogMessage(kLogInfo, "backend.cc", __LINE__, text.c_str());
  });
}

BACKEND_API TRITONBACKEND_ModelInitialize(TRITONBACKEND_Model* handle) {
  return Guard([&] {
    auto model = Load(handle);
    Check(TRITONBACKEND_ModelSetState(handle, model.get()));
    model.release();
  });
}

BACKEND_API TRITONBACKEND_ModelFinalize(TRITONBACKEND_Model* handle) {
  void* state = nullptr;
  Error* error = TRITONBACKEND_ModelState(handle, &state);
  if (error == nullptr) delete static_cast<Model*>(state);
  return error;
}

BACKEND_API TRITONBACKEND_ModelInstanceExecute(TRITONBACKEND_ModelInstance* instance, TRITONBACKEND_Request** requests, uint32_t count) {
  void* state = nullptr;
  std::vector<TRITONBACKEND_Response*> responses(count, nullptr);
  // A failure before the requests are ours is returned: Triton then answers them itself.
  Error* early = Guard([&] {
    TRITONBACKEND_Model* model;
    Check(TRITONBACKEND_ModelInstanceModel(instance, &model));
    Check(TRITONBACKEND_ModelState(model, &state));
    for (uint32_t r = 0; r < count; ++r) Check(TRITONBACKEND_ResponseNew(&responses[r], requests[r]));
  });
  if (early != nullptr) return early;
  uint64_t start = Now();
  Error* failure = Guard([&] { Execute(*static_cast<Model*>(state), instance, requests, count, responses.data()); });
  for (uint32_t r = 0; r < count; ++r) {
    if (failure != nullptr) TRITONBACKEND_ModelInstanceReportStatistics(instance, requests[r], false, start, start, start, Now());
    Error* sent = TRITONBACKEND_ResponseSend(responses[r], kFinal, failure);
    if (sent != nullptr) TRITONSERVER_ErrorDelete(sent);
    Error* released = TRITONBACKEND_RequestRelease(requests[r], kReleaseAll);
    if (released != nullptr) TRITONSERVER_ErrorDelete(released);
  }
  if (failure != nullptr) TRITONSERVER_ErrorDelete(failure);
  return nullptr;
}
