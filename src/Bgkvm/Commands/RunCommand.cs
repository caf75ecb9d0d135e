using System.CommandLine;
using Bgkvm.Hosting;
using Cloning.Instances;

namespace Bgkvm.Commands;

/// <summary><c>bgkvm run</c>, hidden: the instance's process. Only <see cref="Launcher"/> starts it.</summary>
internal sealed class RunCommand : Command
{
    /// <summary>Creates it.</summary>
    /// <param name="start">How the instance is brought to life.</param>
    public RunCommand(InstanceFactory start) : base("run", "The process of an instance; bgkvm start starts it.")
    {
        Hidden = true;
        NameArgument name = new();
        Option<int> lockFd = new("--lock") { Description = "Descriptor of the locked lock file.", Required = true };
        Add(name);
        Add(lockFd);
        SetAction((parsed, _) => InstanceProcess.RunAsync(
            InstanceDirectory.Of(parsed.GetRequiredValue(name)), parsed.GetValue(lockFd), start));
    }
}
