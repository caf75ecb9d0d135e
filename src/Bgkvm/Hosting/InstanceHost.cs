using Bgkvm.Consoles;
using Cloning.Instances;
using Cloning.Shadow;
using Vmm.HostCheck;

namespace Bgkvm.Hosting;

/// <summary>The seam between the command line and the machinery: the only place that names the types that run a guest.</summary>
internal static class InstanceHost
{
    /// <summary>Opens an instance and starts its guest, on a host that can run one.</summary>
    /// <inheritdoc cref="InstanceFactory"/>
    public static IInstance Start(InstanceDirectory directory, InstanceConfig config, ILoggerFactory logs)
    {
        HostVerdict host = HostProbe.RunQuick().Verdict;
        if (!host.LinuxCanRun) throw new InstanceException($"{host.Reason} Way out: {host.WayOut}", ExitCode.HostLacks);
        Instance instance = Instance.Open(directory, config, logs);
        instance.Start();
        return instance;
    }

    /// <summary>Runs a shadow until it has handed over or failed.</summary>
    /// <param name="socketFd">Its end of the link to the instance.</param>
    /// <returns>The process's exit status.</returns>
    public static int RunShadow(int socketFd) => ShadowProcess.Run(socketFd, ConsoleServer.Start);
}
