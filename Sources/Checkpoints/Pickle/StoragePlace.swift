internal import Formats

/// Where the bytes of a storage are: a range of the file that was checked.
struct StoragePlace {
    let key: String
    let byteOffset: Int
    let byteCount: Int
    let isBigEndian: Bool

    /// Checks a storage against the file.
    ///
    /// - Parameter byteCount: its size in the container; `nil` when only its start is known.
    init(
        _ storage: Pickle.Storage, byteOffset: Int, byteCount: Int?, isBigEndian: Bool, file: any FileImage
    ) throws(CheckpointError) {
        let width = storage.dtype?.blockByteCount ?? 1
        let (needed, overflow) = storage.count.multipliedReportingOverflow(by: width)
        let available = byteCount ?? max(0, file.byteCount - byteOffset)
        guard !overflow, byteCount == nil ? needed <= available : needed == available else {
            throw CheckpointError(
                file: file.path,
                "the storage '\(storage.key)' of \(storage.count.grouped) elements of \(width) bytes does not fit its "
                    + "\(available.grouped) bytes", hint: "the file is incomplete or damaged; fetch it again")
        }
        key = storage.key
        self.byteOffset = byteOffset
        self.byteCount = needed
        self.isBigEndian = isBigEndian
    }

    /// The part of the storage that a tensor views, contiguous or gathered row by row.
    func tensor(
        _ name: String, _ view: Pickle.TensorView, of pickle: Pickle, file: any FileImage
    ) throws(CheckpointError) -> Tensor {
        let shape = pickle.numbers(view.shape, limit: Unpickler.maximumRank) ?? []
        let strides = pickle.numbers(view.strides, limit: Unpickler.maximumRank) ?? []
        let dtype = view.dtype, width = dtype.blockByteCount
        func wrong(_ problem: String) -> CheckpointError {
            CheckpointError(file: file.path, tensor: name, problem)
        }
        guard let size = Tensor.byteCount(dtype: dtype, shape: shape) else {
            throw wrong("of type \(dtype) cannot have the shape \(shape)")
        }
        if size == 0 {
            let recipe = try file.recipe(byteOffset, 0, tensor: name)
            return Tensor(name: name, dtype: dtype, shape: shape, recipe: recipe)
        }
        let count = byteCount / width
        guard let last = StridedRows.lastElement(offset: view.offset, shape: shape, strides: strides), last < count
        else {
            throw wrong(
                "of shape \(shape), strides \(strides) and offset \(view.offset.grouped) leaves its storage '\(key)' of "
                    + "\(count.grouped) elements")
        }
        let swaps = isBigEndian && width > 1
        if !swaps, StridedRows.lieTogether(shape: shape, strides: strides) {
            let start = byteOffset + view.offset * width  // fits: the last element lies in the storage
            let recipe = try file.recipe(start, size, tensor: name)
            return Tensor(name: name, dtype: dtype, shape: shape, recipe: recipe)
        }
        // A view of stride 0 can have any size, so the tensor may not be larger than the file.
        guard size <= file.byteCount else {
            throw wrong(
                "repeats elements to \(size.grouped) bytes, more than the whole file of \(file.byteCount.grouped)")
        }
        let storage = try file.recipe(byteOffset, byteCount, tensor: name)
        let rows = StridedRows(
            storage: storage, storageByteCount: byteCount, offset: view.offset, shape: shape, strides: strides,
            width: width, swapWidth: swaps ? (dtype.name == "C64" ? 4 : width) : 1)
        return Tensor(name: name, dtype: dtype, shape: shape, recipe: .computed(rows))
    }
}
