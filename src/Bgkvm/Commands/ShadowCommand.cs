using System.CommandLine;
using Bgkvm.Hosting;

namespace Bgkvm.Commands;

/// <summary><c>bgkvm shadow</c>, hidden: the background clone's process. Only an instance starts it.</summary>
internal sealed class ShadowCommand : Command
{
    /// <summary>Creates it.</summary>
    public ShadowCommand() : base("shadow", "The process of a shadow; an instance starts it.")
    {
        Hidden = true;
        Option<int> fd = new("--fd") { Description = "Descriptor of the link to the instance.", Required = true };
        Add(fd);
        SetAction(parsed => InstanceHost.RunShadow(parsed.GetValue(fd)));
    }
}
