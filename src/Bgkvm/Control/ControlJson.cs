using System.Text.Json.Serialization;
using Bgkvm.Commands;
using Bgkvm.Hosting;
using Cloning.Instances;
using Cloning.Isolation;
using Vmm.HostCheck;

namespace Bgkvm.Control;

/// <summary>Everything that goes over the control socket or out with <c>--json</c>. Enum values are camel case words.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    Converters =
    [
        typeof(CamelCaseEnum<InstanceState>), typeof(CamelCaseEnum<RebootMode>), typeof(CamelCaseEnum<RebootOutcome>),
        typeof(CamelCaseEnum<RebootPhase>), typeof(CamelCaseEnum<ShutdownMode>), typeof(CamelCaseEnum<QuiesceMode>),
        typeof(CamelCaseEnum<CheckStatus>), typeof(CamelCaseEnum<RebootPriority>), typeof(CamelCaseEnum<OverrunAction>),
        typeof(CamelCaseEnum<IsolatedResource>),
    ])]
[JsonSerializable(typeof(InstanceStatus))]
[JsonSerializable(typeof(UpkeepStatus))]
[JsonSerializable(typeof(IsolationReport))]
[JsonSerializable(typeof(IReadOnlyList<InstanceStatus>))]
[JsonSerializable(typeof(RebootBody))]
[JsonSerializable(typeof(RebootProgress))]
[JsonSerializable(typeof(RebootReport))]
[JsonSerializable(typeof(StopBody))]
[JsonSerializable(typeof(StopResult))]
[JsonSerializable(typeof(Problem))]
[JsonSerializable(typeof(StartReport))]
[JsonSerializable(typeof(HostReport))]
[JsonSerializable(typeof(DiskInfo))]
[JsonSerializable(typeof(DiskCheck))]
internal sealed partial class ControlJson : JsonSerializerContext;
