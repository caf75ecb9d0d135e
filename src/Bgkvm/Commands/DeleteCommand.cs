using Bgkvm.Hosting;
using Cloning.Instances;

namespace Bgkvm.Commands;

/// <summary><c>bgkvm delete</c>: forgets a stopped instance and what it wrote to its system disks.</summary>
internal sealed class DeleteCommand : CliCommand
{
    /// <summary>Creates it.</summary>
    public DeleteCommand() : base("delete", "Removes a stopped instance.", """
        Its configuration, its logs and everything it wrote to its system disks go. The disks named at its start stay as
        they are, persistent ones included. Asks nothing.

        Example:
          bgkvm delete demo
        """)
    {
        NameArgument name = new();
        Add(name);
        SetAction(parsed =>
        {
            InstanceDirectory directory = Instances.Find(parsed.GetRequiredValue(name));
            using InstanceLock held = InstanceLock.TryAcquire(directory)
                ?? throw new InstanceException($"{directory.Name} is running; stop it first: bgkvm stop {directory.Name}");
            Directory.Delete(directory.Path, recursive: true);
            return ExitCode.Done;
        });
    }
}
