internal import Formats

/// The names that a pickle may mention; all others are refused. No name is ever looked up: each is a case below.
enum PickleGlobal: UInt8 {
    case orderedDict
    case size, parameter
    case rebuildTensor, rebuildTensor2, rebuildTensor3, rebuildParameter, rebuildParameterWithState, rebuildFromType2
    case untypedStorage
    case floatStorage, doubleStorage, halfStorage, bfloat16Storage, longStorage, intStorage, shortStorage, charStorage
    case byteStorage, boolStorage, complexFloatStorage
    case float32, float16, bfloat16, uint16, uint32, uint64, float8e4m3, float8e5m2, float8e8m0

    private struct Row {
        let global: PickleGlobal
        let module: String
        let name: String
        var storage: String?
        var dtype: String?
    }

    private static let rows = [
        Row(global: .orderedDict, module: "collections", name: "OrderedDict"),
        Row(global: .size, module: "torch", name: "Size"),
        Row(global: .parameter, module: "torch.nn.parameter", name: "Parameter"),
        Row(global: .rebuildTensor, module: "torch._utils", name: "_rebuild_tensor"),
        Row(global: .rebuildTensor2, module: "torch._utils", name: "_rebuild_tensor_v2"),
        Row(global: .rebuildTensor3, module: "torch._utils", name: "_rebuild_tensor_v3"),
        Row(global: .rebuildParameter, module: "torch._utils", name: "_rebuild_parameter"),
        Row(global: .rebuildParameterWithState, module: "torch._utils", name: "_rebuild_parameter_with_state"),
        Row(global: .rebuildFromType2, module: "torch._tensor", name: "_rebuild_from_type_v2"),
        Row(global: .untypedStorage, module: "torch.storage", name: "UntypedStorage"),
        Row(global: .floatStorage, module: "torch", name: "FloatStorage", storage: "F32"),
        Row(global: .doubleStorage, module: "torch", name: "DoubleStorage", storage: "F64"),
        Row(global: .halfStorage, module: "torch", name: "HalfStorage", storage: "F16"),
        Row(global: .bfloat16Storage, module: "torch", name: "BFloat16Storage", storage: "BF16"),
        Row(global: .longStorage, module: "torch", name: "LongStorage", storage: "I64"),
        Row(global: .intStorage, module: "torch", name: "IntStorage", storage: "I32"),
        Row(global: .shortStorage, module: "torch", name: "ShortStorage", storage: "I16"),
        Row(global: .charStorage, module: "torch", name: "CharStorage", storage: "I8"),
        Row(global: .byteStorage, module: "torch", name: "ByteStorage", storage: "U8"),
        Row(global: .boolStorage, module: "torch", name: "BoolStorage", storage: "BOOL"),
        Row(global: .complexFloatStorage, module: "torch", name: "ComplexFloatStorage", storage: "C64"),
        Row(global: .float32, module: "torch", name: "float32", dtype: "F32"),
        Row(global: .float16, module: "torch", name: "float16", dtype: "F16"),
        Row(global: .bfloat16, module: "torch", name: "bfloat16", dtype: "BF16"),
        Row(global: .uint16, module: "torch", name: "uint16", dtype: "U16"),
        Row(global: .uint32, module: "torch", name: "uint32", dtype: "U32"),
        Row(global: .uint64, module: "torch", name: "uint64", dtype: "U64"),
        Row(global: .float8e4m3, module: "torch", name: "float8_e4m3fn", dtype: "F8_E4M3"),
        Row(global: .float8e5m2, module: "torch", name: "float8_e5m2", dtype: "F8_E5M2"),
        Row(global: .float8e8m0, module: "torch", name: "float8_e8m0fnu", dtype: "F8_E8M0"),
    ]

    /// The global of exactly that module and that name; `nil` for any other.
    init?(module: UnsafeRawBufferPointer, name: UnsafeRawBufferPointer) {
        let found = PickleGlobal.rows.first {
            module.elementsEqual($0.module.utf8) && name.elementsEqual($0.name.utf8)
        }
        guard let found else { return nil }
        self = found.global
    }

    private var row: Row? { PickleGlobal.rows.first { $0.global == self } }

    /// The name with its module.
    var name: String { row.map { $0.module + "." + $0.name } ?? "" }

    /// Whether it is a class of storages.
    var isStorage: Bool { self == .untypedStorage || row?.storage != nil }

    /// The type of the elements that a class of storages has; `nil` for bytes of any type.
    var storageType: DType? { row?.storage.flatMap(DType.init(named:)) }

    /// The element type that it is; `nil` for anything else.
    var dtype: DType? { row?.dtype.flatMap(DType.init(named:)) }
}
