internal import CKernels
internal import Checkpoints

extension Activation {
    /// `x = act(x)`
    func apply(_ values: UnsafeMutablePointer<Float>, count: Int) {
        switch self {
        case .silu: resect_silu(values, count)
        case .gelu: resect_gelu(values, count)
        case .geluTanh: resect_gelu_tanh(values, count)
        case .squaredReLU: resect_relu2(values, count)
        }
    }

    /// `gate = act(gate) * up`
    func apply(_ gate: UnsafeMutablePointer<Float>, times up: UnsafePointer<Float>, count: Int) {
        switch self {
        case .silu: resect_silu_times(gate, up, count)
        case .gelu: resect_gelu_times(gate, up, count)
        case .geluTanh: resect_gelu_tanh_times(gate, up, count)
        case .squaredReLU: resect_relu2_times(gate, up, count)
        }
    }

    /// The backward pass of `act(x)`: writes `value = act(x)` again, and replaces x by the gradient with respect to x.
    ///
    /// - Parameters:
    ///   - values: x, as it was before the activation.
    ///   - gradient: the gradient with respect to `act(x)`.
    func applyBackward(
        _ values: UnsafeMutablePointer<Float>, gradient: UnsafePointer<Float>, value: UnsafeMutablePointer<Float>,
        count: Int
    ) {
        switch self {
        case .silu: resect_silu_backward(values, gradient, value, count)
        case .gelu: resect_gelu_backward(values, gradient, value, count)
        case .geluTanh: resect_gelu_tanh_backward(values, gradient, value, count)
        case .squaredReLU: resect_relu2_backward(values, gradient, value, count)
        }
    }

    /// The backward pass of `act(gate) * up`: writes `product = act(gate) * up` again, and replaces gate and up, as they
    /// were before the activation, by the gradients with respect to them.
    ///
    /// - Parameter gradient: the gradient with respect to the product.
    func applyBackward(
        _ gate: UnsafeMutablePointer<Float>, times up: UnsafeMutablePointer<Float>, gradient: UnsafePointer<Float>,
        product: UnsafeMutablePointer<Float>, count: Int
    ) {
        switch self {
        case .silu: resect_silu_times_backward(gate, up, gradient, product, count)
        case .gelu: resect_gelu_times_backward(gate, up, gradient, product, count)
        case .geluTanh: resect_gelu_tanh_times_backward(gate, up, gradient, product, count)
        case .squaredReLU: resect_relu2_times_backward(gate, up, gradient, product, count)
        }
    }
}
