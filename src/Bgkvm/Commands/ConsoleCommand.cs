using Bgkvm.Consoles;
using Bgkvm.Hosting;

namespace Bgkvm.Commands;

/// <summary><c>bgkvm console</c>: attaches to the serial console.</summary>
internal sealed class ConsoleCommand : CliCommand
{
    /// <summary>Creates it.</summary>
    public ConsoleCommand() : base("console", "Attaches to an instance's serial console.", """
        Several may be attached at once, and all stay so through a reboot. Ctrl-] detaches; Ctrl-] b sends a BREAK.
        When stdin is not a terminal it goes to the guest as it is, and its end detaches.

        Example:
          bgkvm console demo
        """)
    {
        NameArgument name = new();
        Add(name);
        SetAction((parsed, _) => ConsoleSession.RunAsync(Instances.FindRunning(parsed.GetRequiredValue(name))));
    }
}
