using System.CommandLine;
using Bgkvm.Hosting;
using Cloning.Instances;
using Microsoft.Win32.SafeHandles;

namespace Bgkvm.Commands;

/// <summary><c>bgkvm logs</c>: prints one of an instance's logs.</summary>
internal sealed class LogsCommand : CliCommand
{
    private const int BrokenPipe = 32; // EPIPE

    private readonly NameArgument _name = new();
    private readonly Option<bool> _follow = new("--follow", "-f") { Description = "Go on with what is appended, until interrupted." };
    private readonly Option<bool> _console = new("--console") { Description = "What the guest printed instead." };
    private readonly Option<bool> _shadow = new("--shadow") { Description = "What the last shadow's guest printed instead." };

    /// <summary>Creates it.</summary>
    public LogsCommand() : base("logs", "Prints what the monitor of an instance has to say.", """
        Example:
          bgkvm logs demo --console -f
        """)
    {
        Add(_name);
        Add(_follow);
        Add(_console);
        Add(_shadow);
        Validators.Add(result =>
        {
            if (result.GetValue(_console) && result.GetValue(_shadow)) result.AddError("--console and --shadow exclude each other");
        });
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        InstanceDirectory directory = Instances.Find(parsed.GetRequiredValue(_name));
        string path = parsed.GetValue(_console) ? directory.ConsoleLog
            : parsed.GetValue(_shadow) ? directory.ShadowLog
            : directory.Log;
        // Not the Console's stream: that one hides that nobody reads any more, and following would never end.
        using FileStream output = new(new SafeFileHandle(1, ownsHandle: false), FileAccess.Write, bufferSize: 0);
        LogTail tail = new(path);
        try
        {
            tail.CopyTo(output);
            if (parsed.GetValue(_follow)) tail.Follow(output);
        }
        catch (IOException e) when (e.HResult == BrokenPipe)
        {
            // The reader has seen enough.
        }

        return ExitCode.Done;
    }
}
