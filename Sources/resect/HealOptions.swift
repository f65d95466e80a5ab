internal import Analysis
internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Healing
internal import Surgery

/// How layers are chosen and a cut is healed.
struct HealOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "How the layers to cut are chosen: healed heals several candidates and takes the best, loss leaves each of the "
                + "closest runs out in a trial, angle takes the closest run. Default: healed, and loss where "
                + "nothing is fitted.", valueName: "rule"))
    var choose: ChoiceRule?

    @Option(name: .long, help: ArgumentHelp("The number of contexts that weights are fitted on.", valueName: "n"))
    var healSamples = 192

    @Option(
        name: .long,
        help: ArgumentHelp(
            "How strongly fitted weights are kept near their old values: fixed, or auto, which tries several ridges and takes the "
                + "best on held-out text.", valueName: "kind"))
    var ridge = RidgeChoice.fixed

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Memory for hidden states, such as 512MiB; the rest is kept in a temporary file. Default: 768MiB, and 2GiB for training.",
            valueName: "size"))
    var memory: ShardSize?

    @Option(name: .long, help: ArgumentHelp("Seed for the choice and the order of the contexts.", valueName: "n"))
    var seed: UInt64 = 0

    func validate() throws {
        if healSamples < 1 { throw ValidationError("--heal-samples must be at least 1") }
    }

    /// Refuses options that would change nothing.
    ///
    /// - Parameters:
    ///   - command: the command that is run.
    ///   - rule: how the layers are chosen; `nil` where they are named.
    func check(
        _ command: any ParsableCommand.Type, _ rule: CutChooser.Rule?, _ method: ClosedForm.Method?,
        _ samples: SampleOptions
    ) throws {
        if method == nil, choose == .healed {
            throw ValidationError("--choose healed compares fits; where nothing is fitted, choose by loss or angle")
        }
        if rule == .loss, samples.lossSamples > samples.samples {
            try Invocation.refuse(
                ["loss-samples"], of: command, "takes some of the contexts of --samples, which are \(samples.samples)")
        }
        if rule == nil, method == nil {
            try Invocation.refuse(["precision"], of: command, "is for choosing and fitting; a training computes in f32")
        }
        if rule == nil {
            try Invocation.refuse(
                ["candidates", "loss-samples", "include-last", "tokens", "samples"], of: command,
                "is for choosing layers; --layers names them")
        } else if rule != .loss {
            try Invocation.refuse(["candidates", "loss-samples"], of: command, "is for --choose loss")
        }
        if ridge == .auto, method == nil || method == .magnitude {
            throw ValidationError("--ridge auto is for refit and bridge")
        }
    }

    /// The heal of a method.
    func form(_ method: ClosedForm.Method) -> ClosedForm {
        ClosedForm(
            method: method, ridges: ridge == .auto ? .automatic : .standard,
            memoryByteCount: memory?.byteCount ?? 768 << 20)
    }

    /// What chooses the layers for a cut that is healed by a method.
    func chooser(_ method: ClosedForm.Method?, _ samples: SampleOptions) -> CutChooser {
        var rule = CutChooser.Rule.healed
        if method == nil || method == .magnitude { rule = .loss }
        var chooser = CutChooser(choose.flatMap { CutChooser.Rule(rawValue: $0.rawValue) } ?? rule, form: form(.bridge))
        chooser.overAllTokens = samples.tokens == .all
        chooser.includesLast = samples.includeLast
        (chooser.candidates, chooser.lossContexts) = (samples.candidates, samples.lossSamples)
        return chooser
    }
}

/// Rules for choosing the layers to cut.
enum ChoiceRule: String, ExpressibleByArgument, CaseIterable {
    case healed, loss, angle
}

/// How the ridges of a fit are found.
enum RidgeChoice: String, ExpressibleByArgument, CaseIterable {
    case fixed, auto
}

/// Ways to heal a cut, one after the other: `refit`, `lora`, or `refit,lora`.
struct HealMethod: ExpressibleByArgument {
    /// What needs no training; `nil` without.
    let closedForm: ClosedForm.Method?
    /// Whether adapters are trained then.
    let trains: Bool

    init(_ closedForm: ClosedForm.Method?) { (self.closedForm, trains) = (closedForm, false) }

    init?(argument: String) {
        var names = argument.split(separator: ",", omittingEmptySubsequences: false)
        trains = names.last == "lora"
        if trains { names.removeLast() }
        switch names.count {
        case 0: closedForm = nil
        case 1 where names[0] == "none" && !trains: closedForm = nil
        case 1:
            guard let method = ClosedForm.Method(rawValue: String(names[0])) else { return nil }
            closedForm = method
        default: return nil
        }
    }

    /// Whether anything is fitted or trained.
    var heals: Bool { closedForm != nil || trains }

    /// The methods as the command line takes them.
    var text: String {
        let names = [closedForm?.rawValue, trains ? "lora" : nil].compactMap(\.self)
        return names.isEmpty ? "none" : names.joined(separator: ",")
    }

    var defaultValueDescription: String { text }
    static var allValueStrings: [String] {
        ClosedForm.Method.allCases.map(\.rawValue) + ["lora", "refit,lora", "none"]
    }
    static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }
}
