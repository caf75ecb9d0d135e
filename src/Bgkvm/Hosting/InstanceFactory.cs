using Cloning.Instances;

namespace Bgkvm.Hosting;

/// <summary>Brings an instance to life: its machine has been built and its guest runs when this returns.</summary>
/// <param name="directory">Its directory, locked by this process.</param>
/// <param name="config">What the user asked for.</param>
/// <param name="logs">Where it logs.</param>
/// <exception cref="InstanceException">It cannot be started as asked.</exception>
internal delegate IInstance InstanceFactory(InstanceDirectory directory, InstanceConfig config, ILoggerFactory logs);
