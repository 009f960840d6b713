// What the two Triton backends of this folder share: the server's side of the work.
//
// For machines without a container engine; the published server container has backends of the same names,
// which serve the same model folders (config.pbtxt and 1/model.onnx). A backend is an `Engine` that runs
// tensors through a model. Input tensors of one batch are joined along the first axis when the model batches;
// outputs are split back by rows. Host memory only. Only what is used of Triton's public C interface is declared.
#pragma once
#include <dlfcn.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
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

// Sizes of Triton's tensor types, BOOL to FP64, by their numbers.
constexpr size_t kTypeBytes[] = {0, 1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 4, 8};

struct Tensor {
  int type = 0;  // Triton's number
  std::vector<int64_t> shape;
  void* data = nullptr;
};

// What an engine answered: tensors that live as long as it does.
struct Answer {
  std::vector<Tensor> tensors;
  virtual ~Answer() = default;
};

// One loaded model. `Run` may be called from several threads.
struct Engine {
  std::vector<std::string> inputs;
  virtual ~Engine() = default;
  virtual std::unique_ptr<Answer> Run(const std::vector<Tensor>& given, const std::vector<std::string>& outputs) = 0;
};

// Each backend defines these two.
std::string Start();  // once; returns the line for the log
std::unique_ptr<Engine> Open(const std::string& path, const std::string& config);

struct Model {
  std::unique_ptr<Engine> engine;
  bool batched = false;
};

// The text after `"name":` in compact JSON; enough for the flat settings that we read.
std::string After(const std::string& json, const std::string& name) {
  size_t at = json.find("\"" + name + "\":");
  return at == std::string::npos ? "" : json.substr(at + name.size() + 3);
}

// The value of a parameter in the model's configuration; empty where it has none.
std::string Parameter(const std::string& json, const std::string& name) {
  std::string rest = After(After(json, name), "string_value");
  size_t first = rest.find('"'), last = rest.find('"', first + 1);
  return last == std::string::npos ? "" : rest.substr(first + 1, last - first - 1);
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
  Tensor tensor;
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
  if (type < 1 || type > 12) throw Failure{"a tensor of this type is not served"};
  out.tensor = {type, shape, data};
}

void Split(const Model& model, const std::string& name, const Tensor& tensor, TRITONBACKEND_Response** responses, uint32_t count,
           const std::vector<int64_t>& rows, const std::vector<std::vector<std::string>>& wanted) {
  std::vector<int64_t> shape = tensor.shape;
  uint64_t row = kTypeBytes[tensor.type];
  for (size_t i = model.batched ? 1 : 0; i < shape.size(); ++i) row *= uint64_t(shape[i]);
  const char* from = static_cast<const char*>(tensor.data);
  for (uint32_t r = 0; r < count; ++r) {
    uint64_t bytes = model.batched ? row * uint64_t(rows[r]) : row;
    if (std::find(wanted[r].begin(), wanted[r].end(), name) != wanted[r].end()) {
      if (model.batched) shape[0] = rows[r];
      TRITONBACKEND_Output* output;
      Check(TRITONBACKEND_ResponseOutput(responses[r], &output, name.c_str(), tensor.type, shape.data(), uint32_t(shape.size())));
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
  std::vector<Joined> joined(model.engine->inputs.size());
  std::vector<Tensor> given;
  for (size_t k = 0; k < joined.size(); ++k) {
    Join(model, model.engine->inputs[k], requests, count, rows, joined[k]);
    given.push_back(joined[k].tensor);
  }
  std::vector<std::vector<std::string>> wanted;
  std::vector<std::string> outputs;
  for (uint32_t r = 0; r < count; ++r) {
    wanted.push_back(RequestedOutputs(requests[r]));
    for (const std::string& name : wanted.back())
      if (std::find(outputs.begin(), outputs.end(), name) == outputs.end()) outputs.push_back(name);
  }
  uint64_t compute_start = Now();
  std::unique_ptr<Answer> answer = model.engine->Run(given, outputs);
  uint64_t compute_end = Now();
  for (size_t i = 0; i < outputs.size(); ++i) Split(model, outputs[i], answer->tensors[i], responses, count, rows, wanted);
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
  model->engine = Open(path, json);
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
  return Guard([] { TRITONSERVER_LogMessage(kLogInfo, "backend.h", __LINE__, Start().c_str()); });
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
